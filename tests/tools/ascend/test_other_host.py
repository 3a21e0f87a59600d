"""The tools on another host: an sshd on 127.0.0.1, with the stand-ins of CANN and the tools, which this one lacks."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from runner.core import Placement
from runner.measure import MeasuringLimits, mean_ms
from runner.tools import ssh
from runner.tools.ascend import AisBench, AisInfer, BenchmarkTool

STANDINS = Path(__file__).parents[2] / "standins"
PLACEMENT = Placement(soc="310P3", kind="ascend", devices=(0,), soc_version="Ascend310P3")
TWO = Placement(soc="310P3", kind="ascend", devices=(0, 1), soc_version="Ascend310P3")
QUICK = MeasuringLimits(warmup=2, min_iterations=5, min_seconds=0.0, max_seconds=10.0)
PICTURES = (3, 2, 2)
SOURCES = [path for path in os.environ.get("AIS_BENCH_SOURCE", "").split(":") if path]


@pytest.fixture
def source(request, card, monkeypatch) -> None:
    """A real front end of ais_bench, in the place of the stand-in."""
    monkeypatch.setenv("PYTHONPATH", f"{request.param}:{STANDINS}:{STANDINS / 'setuptools_before_82'}")
    if Path(request.param, "ais_bench/infer/args_adapter.py").exists():
        monkeypatch.setenv("STANDIN_ACLRUNTIME", "msit")


@pytest.fixture
def there(card, board, monkeypatch) -> None:
    """A board with the stand-ins, which this host has not."""
    ssh.ask.cache_clear()
    (board.home / "set_env.sh").write_text("export ASCEND_HOME_PATH=/there\n")
    monkeypatch.delenv("ASCEND_HOME_PATH")
    monkeypatch.delenv("PYTHONPATH")
    programs, *_ = os.environ["PATH"].split(":")
    monkeypatch.setenv("PATH", f"{programs}:{Path(sys.executable).parent}:{os.defpath}")


@pytest.fixture
def tools(there, board) -> dict[str, AisBench | AisInfer | BenchmarkTool]:
    common = {"host": "board", "environment_script": str(board.home / "set_env.sh"), "loop": 7, "timeout_seconds": 60}
    return {
        "ais_bench": AisBench(python=sys.executable, **common),
        "ais_infer": AisInfer(python=sys.executable, script=str(STANDINS / "ais_infer.py"), **common),
        "benchmark": BenchmarkTool(program=str(STANDINS / "benchmark.x86_64"), measured="files", **common),
    }


def doubled(tool, model, batches, work, placement=PLACEMENT) -> list[float]:
    """The first value of the output y of every sample."""
    return [float(row.flat[0]) for out in tool.infer(model, placement, batches, work) for row in out["y"]]


@pytest.mark.parametrize("name", ["ais_bench", "ais_infer", "benchmark"])
def test_a_model_is_run_there_and_its_outputs_come_back(name, tools, compiled, batches, work) -> None:
    model = compiled(batch=2, shape=PICTURES)
    assert tools[name].validate(PLACEMENT, model.inputs) == []
    assert doubled(tools[name], model, batches(model, 4), work) == [0.0, 2.0, 4.0, 6.0]


@pytest.mark.parametrize("name", ["ais_bench", "ais_infer", "benchmark"])
def test_a_measurement_says_where_it_was_made(name, tools, compiled, work) -> None:
    model = compiled(batch=2, shape=PICTURES)
    timing = tools[name].measure(model, PLACEMENT, {"x": np.ones((2, *PICTURES), np.float32)}, QUICK, work)
    assert mean_ms(timing) > 0
    assert ", on board; before: device 0 health OK, 42 °C, 1074 of 21534 MB in use" in timing.source


def test_two_devices_there_give_each_sample_its_own_output(tools, compiled, batches, work) -> None:
    model = compiled(batch=2)
    assert doubled(tools["ais_bench"], model, batches(model, 8), work, TWO) == [2.0 * i for i in range(8)]


@pytest.mark.skipif(not SOURCES, reason="AIS_BENCH_SOURCE names no source of ais_bench (see test_real_ais_bench.py)")
@pytest.mark.parametrize("source", SOURCES, indirect=True)
@pytest.mark.parametrize("placement", [PLACEMENT, TWO], ids=["one device", "two devices"])
def test_real_front_ends_run_there(placement, source, tools, compiled, batches, work) -> None:
    model = compiled(batch=2)
    model.path.chmod(0o600)  # as atc makes it
    assert tools["ais_bench"].validate(placement, model.inputs) == []
    assert doubled(tools["ais_bench"], model, batches(model, 8), work, placement) == [2.0 * i for i in range(8)]
    timing = tools["ais_bench"].measure(model, placement, {"x": np.ones((2, 2), np.float32)}, QUICK, work)
    assert mean_ms(timing) > 0


def test_samples_are_sent_once_for_all_batch_sizes(tools, compiled, batches, work, board) -> None:
    for number, rows in enumerate((1, 2, 4)):
        model = compiled(batch=rows)
        folder = work / str(number)
        folder.mkdir()
        assert doubled(tools["ais_bench"], model, batches(model, 4), folder) == [0.0, 2.0, 4.0, 6.0]
    assert len(board.files) == 3 + 4  # the models, and the samples


def test_the_version_is_that_of_the_other_host(tools) -> None:
    assert tools["ais_bench"].version() != "ais_bench (not found)"
    assert "(not found)" not in tools["ais_infer"].version() + tools["benchmark"].version()


def test_another_chip_there_is_told(tools) -> None:
    (problem,) = tools["ais_bench"].validate(
        Placement(soc="910B4", kind="ascend", devices=(0,), soc_version="Ascend910B4")
    )
    assert "npu-smi info names 310P3" in problem.message


@pytest.fixture
def in_use(monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_PROCESS", "train.py")


def test_a_card_there_that_another_process_uses_makes_a_measurement_invalid(in_use, tools, compiled, work) -> None:
    model = compiled(batch=2)
    timing = tools["ais_bench"].measure(model, PLACEMENT, {"x": np.ones((2, 2), np.float32)}, QUICK, work)
    assert "device 0 was in use before by train.py (process 1), says npu-smi info" in timing.reasons


@pytest.fixture
def msit(card, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{STANDINS / 'msit'}:{STANDINS}")


def test_characters_that_msits_ais_bench_refuses_are_told_of_the_path_there(msit, tools, monkeypatch) -> None:
    monkeypatch.setattr(ssh, "home", lambda host: "/home/two words")
    (problem,) = tools["ais_bench"].path_problems(Path("/cache"))
    assert "/home/two words/.cache/model-zoo-runner/runs/000000000000/cache" in problem.message


def test_the_path_there_of_a_folder_without_odd_characters_is_fine(tools) -> None:
    assert tools["ais_bench"].path_problems(Path("/cache")) == []


def test_a_host_without_cann_and_the_tools_is_told_with_its_name(there, board) -> None:
    tool = AisBench(host="board", python="/usr/bin/no-python", environment_script="/no/set_env.sh")
    messages = [problem.message for problem in tool.validate(PLACEMENT)]
    assert messages[0].startswith("CANN is not set up on board")
    assert "/usr/bin/no-python failed with exit status 127 on board" in messages[1]


def test_a_tool_in_this_process_cannot_be_on_another_host() -> None:
    (problem,) = AisBench(host="board", mode="api").validate(PLACEMENT)
    assert "tool.mode=api runs in this process" in problem.message


def test_results_do_not_depend_on_the_host_and_measurements_do() -> None:
    tool = AisBench(host="board")
    assert "host" in tool.excluded_from_key("infer")
    assert "host" not in tool.excluded_from_key("benchmark")


@pytest.mark.slow
def test_a_run_compiles_here_and_infers_there(card, board, run_tiny, tiny_zoo, monkeypatch) -> None:
    ssh.ask.cache_clear()
    script = board.home / "set_env.sh"
    script.write_text("export ASCEND_HOME_PATH=/there\n")
    monkeypatch.delenv("PYTHONPATH")
    run_tiny(
        *("weights=random", "soc=310P3", "batch=3", "tool.adapter.loop=5", "tool.host=board"),
        *(f"tool.python={sys.executable}", f"tool.environment_script={script}"),
    )
    found = json.loads((tiny_zoo / "out" / "result.json").read_text())
    assert found["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-4)
    assert {command["argv"][0] for command in found["commands"]} == {"atc", "ssh", "sftp"}


def test_a_dry_run_shows_what_would_be_sent_and_run_there(card, run_tiny) -> None:
    arguments = ("weights=random", "soc=310P3", "batch=3", "tool.host=-nowhere", "dry_run=true")
    lines = run_tiny(*arguments).stdout
    assert "sftp -b send.batch -nowhere" in lines
    assert "-m ais_bench --model tiny_bs3.om" in next(line for line in lines.splitlines() if line.startswith("ssh -tt"))
