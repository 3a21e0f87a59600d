import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from runner.compare.__main__ import main
from runner.results import Sweep, SweepJob, sweeps

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write_run(write_result: Callable[..., Path]) -> Callable[..., str]:
    """Write a run of dcgan into a folder and return the folder; `day` is that of November 2026 on which it ended."""

    def write(folder: str, day: int = 1, **changes: Any) -> str:
        created = f"2026-11-{day:02}T12:00:00+00:00"
        return str(write_result(folder, created=created, **changes).parent)

    return write


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


FAILED_GATE = {"name": "accuracy.acc", "verdict": "fail", "measured": 50.0}


def test_nothing_fell_exits_0(write_run, capsys) -> None:
    assert main([write_run("a"), write_run("b", samples_per_second=99.0)]) == 0
    out = capsys.readouterr().out
    assert "same        throughput    100 -> 99 samples/s  -1.0 %  (allowed 5 %, noise unknown)" in out
    assert out.endswith("1 run: 1 not worse; 1 figure not judged\n")


def test_a_throughput_that_halved_exits_2(write_run, capsys) -> None:
    assert main([write_run("a"), write_run("b", samples_per_second=50.0)]) == 2
    out = capsys.readouterr().out
    assert "worse       throughput    100 -> 50 samples/s  -50.0 %" in out
    assert out.endswith("1 run: 1 worse; 1 figure not judged\n")


def test_a_tolerance_can_be_given(write_run) -> None:
    before, after = write_run("a"), write_run("b", samples_per_second=50.0)
    assert main([before, after, "--tolerance", "throughput=60"]) == 0


def test_the_noise_is_that_of_the_raw_latencies(write_run, capsys) -> None:
    runs = [write_run(name) for name in "ab"]
    for run in runs:
        content = {"batch": 1, "source": "x", "settled_after": 0, "latencies_ms": [1.0] * 500 + [3.0] * 500}
        Path(run, "latencies_ms.json").write_text(json.dumps(content))
    main(runs)
    # 2 * sqrt(2) * 1.026 / sqrt(20) ms, of 2.0 ms
    assert "mean latency  2 -> 2 ms  +0.0 %  (allowed 5 %, noise 32.4 %)" in capsys.readouterr().out


def test_differences_of_machine_and_configuration_stand_beside_the_changes(write_run, capsys) -> None:
    epyc, kunpeng = ({"cpu": cpu, "packages": {"torch": "2.9"}} for cpu in ("EPYC 7763", "Kunpeng 920"))
    runs = [write_run("a", environment=epyc), write_run("b", environment=kunpeng)]
    for run, threads in zip(runs, (1, 2), strict=True):
        Path(run, "config.yaml").write_text(yaml.safe_dump({"tool": {"adapter": {"threads": threads}}}))
    main(runs)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-5:-1] == [
        "  environment",
        "    cpu: EPYC 7763 -> Kunpeng 920",
        "  configuration",
        "    tool.adapter.threads: 1 -> 2",
    ]


def test_what_only_steers_a_run_and_keys_that_are_null_are_no_difference(write_run, capsys) -> None:
    runs = [write_run(name) for name in "ab"]
    Path(runs[0], "config.yaml").write_text(yaml.safe_dump({"force": ["benchmark"], "dry_run": False}))
    Path(runs[1], "config.yaml").write_text(yaml.safe_dump({"force": False, "a_key_of_later_versions": None}))
    main(runs)
    assert "configuration" not in capsys.readouterr().out


def test_a_long_value_is_cut(write_run, capsys) -> None:
    runs = [write_run(name) for name in "ab"]
    for run, letter in zip(runs, "xy", strict=True):
        Path(run, "config.yaml").write_text(yaml.safe_dump({"url": letter * 200}))
    main(runs)
    assert f"    url: {'x' * 77}... -> {'y' * 77}...\n" in capsys.readouterr().out


def test_another_checkpoint_is_told(write_run, capsys) -> None:
    weights = [{"origin": "file", "path": "/w.pth", "sha256": sha256} for sha256 in ("ab12", "cd34")]
    main([write_run("a", weights=weights[0]), write_run("b", weights=weights[1])])
    assert "    weights.sha256: ab12 -> cd34\n" in capsys.readouterr().out


def test_many_differences_of_the_configuration_end_in_the_command_that_shows_them(write_run, capsys) -> None:
    runs = [write_run(name) for name in "ab"]
    for run, value in zip(runs, (1, 2), strict=True):
        Path(run, "config.yaml").write_text(yaml.safe_dump({f"key{index}": value for index in range(15)}))
    main(runs)
    assert "    and 3 more: python -m runner.diff a b" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["last-good"], ["last", "good"]])
def test_the_last_good_run_is_an_earlier_one_of_the_same_job_without_a_failed_gate(
    words: list[str], write_run, capsys
) -> None:
    write_run("outputs/good", day=1)
    write_run("outputs/worse", day=2, samples_per_second=50.0, gates=[FAILED_GATE])
    write_run("outputs/broken", day=3, status="failed", error={"stage": "infer", "message": "m", "fix": "f"})
    write_run("outputs/another_job", day=4, overrides=["seed=1"], samples_per_second=80.0)
    write_run("outputs/new", day=5, samples_per_second=60.0)
    write_run("outputs/later", day=6)
    assert main([*words, "outputs/new"]) == 2
    assert "  - outputs/good\n  + outputs/new\n" in capsys.readouterr().out


def test_a_run_of_the_same_machine_is_preferred(write_run, capsys) -> None:
    here, there = {"host": "arm-1"}, {"host": "x86-1"}
    write_run("outputs/here", day=1, environment=here)
    write_run("outputs/there", day=2, environment=there)
    write_run("outputs/new", day=3, environment=here)
    assert main(["last-good"]) == 0
    assert "  - outputs/here\n" in capsys.readouterr().out


def test_a_disturbed_measurement_is_no_baseline_where_there_is_a_valid_one(write_run, capsys) -> None:
    write_run("outputs/valid", day=1)
    write_run("outputs/disturbed", day=2, samples_per_second=50.0, reasons=["device busy"])
    write_run("outputs/new", day=3, samples_per_second=50.0)
    assert main(["last-good"]) == 2
    assert "  - outputs/valid\n" in capsys.readouterr().out


def test_without_new_the_newest_run_is_compared(write_run, capsys) -> None:
    write_run("outputs/new", day=9)
    write_run("outputs/old", day=1)
    assert main([write_run("baseline")]) == 0
    assert "  + outputs/new\n" in capsys.readouterr().out


def test_without_new_all_jobs_of_the_newest_sweep_are_compared(write_run, capsys) -> None:
    for batch in (1, 4):
        write_run(f"outputs/single/{batch}", day=1, batch=batch)
        write_run(f"outputs/sweep/{batch}", day=2, batch=batch, overrides=[f"batch={batch}"])
    jobs = tuple(SweepJob(str(batch), (f"batch={batch}",)) for batch in (1, 4, 8))
    sweeps.write(Path("outputs/sweep"), Sweep(created="2026-11-02T11:00:00+00:00", host="h", jobs=jobs))
    assert main(["last-good"]) == 1
    told = capsys.readouterr()
    assert "missing: " in told.err
    assert "outputs/sweep/8 (batch=8) has no result" in told.err
    assert told.out.endswith("3 runs: 2 not worse, 1 missing; 2 figures not judged\n")


def test_folders_of_many_are_compared_job_by_job(write_run, capsys) -> None:
    for seed in (1, 2):
        write_run(f"a/{seed}", overrides=[f"seed={seed}"])
        write_run(f"b/{seed}", overrides=[f"seed={seed}"], samples_per_second=100.0 if seed == 1 else 50.0)
    assert main(["a", "b"]) == 2
    out = capsys.readouterr().out
    assert "noise, seed=1\n  - a/1\n  + b/1\n" in out
    assert out.endswith("2 runs: 1 worse, 1 not worse; 2 figures not judged\n")


def test_two_runs_that_are_named_are_compared_whatever_they_ran(write_run, capsys) -> None:
    assert main([write_run("a", batch=1), write_run("b", batch=4, overrides=["seed=1"])]) == 0
    assert "1 not worse" in capsys.readouterr().out


def test_a_job_without_a_baseline_is_told_and_no_error(write_run, capsys) -> None:
    write_run("a/1", overrides=["seed=1"])
    write_run("b/1", overrides=["seed=1"])
    write_run("b/2", overrides=["seed=2"])
    assert main(["a", "b"]) == 0
    out = capsys.readouterr().out
    assert "there is no earlier run of this job to compare with: b/2" in out
    assert out.endswith("2 runs: 1 not worse, 1 without a baseline; 1 figure not judged\n")


def test_where_nothing_can_be_compared_it_is_an_error(write_run) -> None:
    write_run("outputs/only")
    assert main(["last-good"]) == 1


def test_a_new_run_that_failed_is_an_error_with_fix_and_log(write_run, capsys) -> None:
    error = {"stage": "infer", "message": "no device", "fix": "plug it in"}
    assert main([write_run("a"), write_run("b", status="failed", error=error)]) == 1
    assert "  failed: infer: no device\n    fix: plug it in\n    log: b/run.log\n" in capsys.readouterr().out


def test_a_measurement_that_is_not_valid_is_told_and_not_judged(write_run, capsys) -> None:
    assert main([write_run("a"), write_run("b", samples_per_second=10.0, reasons=["device busy"])]) == 0
    out = capsys.readouterr().out
    assert out.count("(the new run's measurement is not valid: device busy)") == 1
    assert out.count("(as above)") == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "a"], "nowhere: there is no such file or folder"),
        (["last-good"], "outputs: there is no such file or folder"),
        (["a", "empty"], "empty holds no result"),
        (["failed", "a"], "is a run that failed"),
        (["a", "a", "a"], "3 runs are given"),
        ([], "required: BASELINE"),
        (["a", "a", "--tolerance", "througput=5"], "did you mean throughput?"),
        (["a", "a", "--tolerance", "throughput=-1"], "'-1' is no number of at least 0"),
        (["a", "a", "--tolerance", "throughput"], "'' is no number of at least 0"),
        (["a", "a", "--junit", "a"], "a cannot be written"),
    ],
)
def test_an_error_exits_1_without_a_traceback(arguments: list[str], told: str, write_run, capsys) -> None:
    write_run("a")
    write_run("failed", status="failed")
    Path("empty").mkdir()
    assert main(arguments) == 1
    assert told in capsys.readouterr().err


def test_spoilt_results_beside_the_others_are_told(write_run, capsys) -> None:
    write_run("b/1")
    Path("b/2").mkdir()
    Path("b/2/result.json").write_text("{")
    assert main([write_run("a"), "b"]) == 0
    assert "b/2/result.json: not valid JSON" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["latencies_ms.json", "config.yaml"])
def test_a_spoilt_file_of_one_run_is_an_error_and_the_figures_of_all_are_compared(name: str, write_run, capsys) -> None:
    for batch in (1, 4):
        write_run(f"a/{batch}", batch=batch)
        write_run(f"b/{batch}", batch=batch)
    Path("b/4", name).write_text("{")
    assert main(["a", "b", "--junit", "compare.xml"]) == 1
    out = capsys.readouterr().out
    assert out.count("same        throughput    100 -> 100 samples/s") == 2
    assert out.count(f"  error: {Path('b/4', name).absolute()} cannot be read") == 1
    errors = ElementTree.parse("compare.xml").getroot()[0].get("errors")
    assert errors == "1"


def test_nothing_heavy_is_imported(write_run) -> None:
    """It takes 0.6 s at most (benchmarks/compare.py)."""
    script = "import sys; from runner.compare.__main__ import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", script, str(Path(write_run("a")).absolute()), str(Path(write_run("b")).absolute())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert {"torch", "numpy", "hydra", "omegaconf"}.isdisjoint(done.stdout.splitlines()[-1].split()), done.stderr


def test_the_verdicts_are_written_as_junit_xml(write_run) -> None:
    assert main([write_run("a"), write_run("b", samples_per_second=50.0), "--junit", "ci/compare.xml"]) == 2
    suite = ElementTree.parse("ci/compare.xml").getroot()[0]
    found = {case.get("name"): [child.tag for child in case] for case in suite}
    assert found["throughput"] == ["failure"]
    assert found["acc"] == ["system-out"]
    assert (suite.get("name"), suite.get("failures")) == ("dcgan", "1")
