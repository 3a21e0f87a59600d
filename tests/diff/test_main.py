import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from runner import diff
from runner.diff import Side
from runner.results.differences import Difference


@pytest.fixture
def write_run(tmp_path) -> Callable[..., str]:
    """A run folder with a result and a resolved configuration."""

    def write(
        name: str,
        rate: float = 100.0,
        key: str = "k1",
        batch: int = 1,
        cosine: float = 1.0,
        environment: dict[str, object] | None = None,
        **performance: object,
    ) -> str:
        folder = tmp_path / name
        folder.mkdir()
        result = {
            "schema": 1,
            "status": "ok",
            "model": "dcgan",
            "soc": "cpu",
            "tool": "onnxruntime",
            "batch": batch,
            "dataset": "noise",
            "accuracy": {"cosine": cosine, "samples": 8},
            "performance": {"samples_per_second": rate, "latency_ms": {"mean": 2.0}, **performance},
            "environment": environment or {},
            "stages": [{"name": "export", "status": "ran", "seconds": 1.0, "key": key}],
        }
        (folder / "result.json").write_text(json.dumps(result))
        (folder / "config.yaml").write_text(yaml.safe_dump({"batch": {"size": batch}, "limit": None}))
        return str(folder)

    return write


def test_a_run_does_not_differ_from_itself(write_run, capsys) -> None:
    run = write_run("a")
    assert diff.main([run, f"{run}/result.json"]) == 0
    assert capsys.readouterr().out == "no difference in config, artifacts, results, environment\n"


def test_runs_that_differ_are_told_part_by_part(write_run, capsys) -> None:
    assert diff.main([write_run("a"), write_run("b", rate=150.0, key="k2", batch=4)]) == 1
    assert capsys.readouterr().out.splitlines()[2:] == [
        "config",
        "  batch.size: 1 -> 4",
        "artifacts",
        "  export: k1 -> k2",
        "results",
        "  samples_per_second: 100 -> 150  (x1.500)",
    ]


def test_overrides_are_composed_as_the_command_line_does(capsys) -> None:
    assert diff.main(["model=dcgan batch=4", "model=dcgan batch=24"]) == 1
    assert capsys.readouterr().out.splitlines()[2:] == ["config", "  batch.size: 4 -> 24"]


def test_a_path_with_an_equals_sign_is_taken_as_on_the_command_line(capsys) -> None:
    assert diff.main(["model=dqn weights='epoch=1.pth'", "model=dqn weights=epoch=2.pth"]) == 1
    assert capsys.readouterr().out.splitlines()[2:] == ["config", "  weights: epoch=1.pth -> epoch=2.pth"]


def test_the_same_overrides_in_another_order_are_the_same() -> None:
    assert diff.main(["model=dcgan seed=1", "seed=1 model=dcgan"]) == 0


def test_a_run_and_overrides_are_compared_by_their_configuration(write_run, capsys) -> None:
    assert diff.main([write_run("a"), "model=dcgan"]) == 1
    assert "not compared, as only one side has them: artifacts, results, environment" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("nonsense", "nonsense is no file and no folder, and no overrides either"),
        ("model=no_such", "there is no model=no_such"),
        ("model=dcgan batch=1,2", "batch=1,2 has several values"),
        ("model=dcgan 'seed=1", "No closing quotation"),
        ("model=dcgan seed=x", "could not be converted"),
    ],
)
def test_an_error_exits_3_without_a_traceback(argument: str, told: str, capsys) -> None:
    assert diff.main(["model=dcgan", argument]) == 3
    assert told in capsys.readouterr().err


def test_one_argument_alone_is_an_error(capsys) -> None:
    assert diff.main(["model=dcgan"]) == 3
    assert "required: B" in capsys.readouterr().err


def test_a_folder_without_a_result_is_an_error(tmp_path, capsys) -> None:
    assert diff.main([str(tmp_path), "model=dcgan"]) == 3
    assert "holds no result.json" in capsys.readouterr().err


def test_a_folder_in_the_place_of_a_result_is_an_error(tmp_path, capsys) -> None:
    (tmp_path / "result.json").mkdir()
    assert diff.main([str(tmp_path), str(tmp_path)]) == 3
    assert "holds no result.json" in capsys.readouterr().err


def test_a_spoilt_result_is_an_error(write_run, capsys) -> None:
    run = write_run("a")
    Path(run, "result.json").write_text('{"schema": 0}')
    assert diff.main([run, run]) == 3
    assert "older schema: 0" in capsys.readouterr().err


def test_a_run_without_its_configuration_is_compared_by_the_rest(write_run, capsys) -> None:
    run = write_run("a")
    Path(run, "config.yaml").unlink()
    assert diff.main([run, write_run("b")]) == 0
    assert "not compared, as only one side has them: config" in capsys.readouterr().out


def test_machines_that_differ_are_told(write_run, capsys) -> None:
    epyc = {"host": "x86-1", "cpu": "EPYC 7763, 64 cores", "packages": {"torch": "2.9.0"}}
    kunpeng = {"host": "arm-1", "cpu": "Kunpeng 920, 64 cores", "packages": {"torch": "2.9.0"}}
    assert diff.main([write_run("a", environment=epyc), write_run("b", environment=kunpeng)]) == 1
    assert capsys.readouterr().out.splitlines()[2:] == [
        "environment",
        "  host: x86-1 -> arm-1",
        "  cpu: EPYC 7763, 64 cores -> Kunpeng 920, 64 cores",
    ]


def test_measurements_that_are_not_valid_are_told(write_run, capsys) -> None:
    busy = write_run("b", valid=False, reasons=["device busy"])
    assert diff.main([write_run("a"), busy]) == 1
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == f"{busy}: the measurement is not valid (device busy): its latencies and throughput say little"


def test_what_one_side_lacks_is_told() -> None:
    found = diff.compare(Side("a", {"x": 1}), Side("b", {"y": None}))
    assert found.sections["config"] == [Difference("x", 1, "(none)"), Difference("y", "(none)", None)]


def test_nan_is_the_same_as_nan(write_run) -> None:
    nan = float("nan")
    assert diff.main([write_run("a", cosine=nan), write_run("b", cosine=nan)]) == 0


def test_there_is_no_ratio_to_zero(write_run, capsys) -> None:
    assert diff.main([write_run("a", rate=0.0), write_run("b", rate=5.0)]) == 1
    assert "samples_per_second: 0 -> 5\n" in capsys.readouterr().out


def test_true_is_not_one() -> None:
    assert diff.compare(Side("a", {"x": True}), Side("b", {"x": 1})).exit_code == 1


def test_what_a_load_and_a_first_call_cost_is_compared_with_ratios(write_run, capsys) -> None:
    before = write_run("a", load_ms=200.0, first_call_ms=40.0, peak_rss_mib=500.0)
    after = write_run("b", load_ms=100.0, first_call_ms=60.0, peak_rss_mib=525.0)
    assert diff.main([before, after]) == 1
    assert capsys.readouterr().out.splitlines()[2:] == [
        "results",
        "  load_ms: 200 -> 100  (x0.500)",
        "  first_call_ms: 40 -> 60  (x1.500)",
        "  peak_rss_mib: 500 -> 525  (x1.050)",
    ]


def test_a_cost_that_one_side_does_not_tell_is_shown_as_none(write_run, capsys) -> None:
    assert diff.main([write_run("a"), write_run("b", load_ms=100.0)]) == 1
    assert capsys.readouterr().out.splitlines()[2:] == ["results", "  load_ms: (none) -> 100.0"]


def test_a_cost_that_neither_side_tells_is_no_difference(write_run, capsys) -> None:
    assert diff.main([write_run("a"), write_run("b")]) == 0
    assert "load_ms" not in capsys.readouterr().out


ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
)


@pytest.mark.parametrize("config", [ALIASES, "a: &a {b: *a}", "[" * 20_000, "a: ["])
def test_a_configuration_that_is_no_ordinary_one_is_an_error(config: str, write_run, capsys) -> None:
    good, bad = write_run("a"), write_run("b")
    Path(bad, "config.yaml").write_text(config)
    assert diff.main([good, bad]) == 3
    assert "config.yaml" in capsys.readouterr().err


def test_a_configuration_that_is_a_fifo_is_an_error_and_not_waited_for(write_run, capsys) -> None:
    good, bad = write_run("a"), write_run("b")
    Path(bad, "config.yaml").unlink()
    os.mkfifo(Path(bad, "config.yaml"))
    assert diff.main([good, bad]) == 3
    assert "not a regular file" in capsys.readouterr().err


def test_control_characters_of_a_configuration_do_not_reach_the_terminal(write_run, capsys) -> None:
    good, bad = write_run("a"), write_run("b")
    Path(bad, "config.yaml").write_text('{batch: {size: "\\e]0;title\\e[2J[/x]"}, limit: null}')
    assert diff.main([good, bad]) == 1
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "\\x1b[2J[/x]" in told
