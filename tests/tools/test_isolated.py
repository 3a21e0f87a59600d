import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from runner.config import permissions
from runner.config.callables import Target
from runner.core import Placement, ToolError, process
from runner.measure import MeasuringLimits
from runner.tools import isolated

ONNXRUNTIME = Target("runner.tools.onnxruntime.OnnxRuntime", {"threads": 1})
CPU = Placement(soc="cpu", kind="cpu", devices=(0,))
LIMITS = MeasuringLimits(1, 3, 0.0, 10.0)
INPUTS = {"x": np.ones((2, 2), np.float32)}


@pytest.fixture
def own_tool(tmp_path, monkeypatch):
    """A tool outside the package whose `measure` has the given body."""

    def write(body: str) -> Target:
        source = f"import os, signal, time\nclass Own:\n    def measure(self, *given):\n        {body}\n"
        (tmp_path / "own_tool.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        permissions.allow(["own_tool"])
        return Target("own_tool.Own")

    before = permissions.allowed()
    yield write
    permissions.allow(before)


def test_the_timing_comes_back_from_another_process(logs, doubling, work) -> None:
    timing = isolated.measure(ONNXRUNTIME, doubling, CPU, INPUTS, LIMITS, work)
    assert (timing.batch, timing.warmup) == (2, 1)
    assert len(timing.latencies_ms) >= 3
    assert timing.source.startswith("onnxruntime ")


def test_the_memory_is_that_of_the_other_process(logs, doubling, work) -> None:
    block = np.ones(512 << 17)  # 512 MiB here
    timing = isolated.measure(ONNXRUNTIME, doubling, CPU, INPUTS, LIMITS, work)
    assert timing.peak_rss_bytes is not None
    assert timing.peak_rss_bytes < block.nbytes


def test_the_command_is_not_recorded_as_the_runs(logs, doubling, work) -> None:
    with process.recording() as commands:
        isolated.measure(ONNXRUNTIME, doubling, CPU, INPUTS, LIMITS, work)
    assert commands == []


def test_an_error_over_there_is_told_here(logs, doubling, work) -> None:
    doubling.path.write_bytes(b"no model")
    with pytest.raises(ToolError, match="ONNX Runtime cannot load"):
        isolated.measure(ONNXRUNTIME, doubling, CPU, INPUTS, LIMITS, work)


def test_a_process_that_dies_is_an_error(logs, own_tool, doubling, work) -> None:
    dying = own_tool("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ToolError, match="was killed by SIGKILL"):
        isolated.measure(dying, doubling, CPU, INPUTS, LIMITS, work)


def test_a_process_that_hangs_is_an_error(logs, own_tool, doubling, work, monkeypatch) -> None:
    monkeypatch.setattr(isolated, "LOADING_SECONDS", 1.0)
    with pytest.raises(ToolError, match="was still running after 1 seconds"):
        isolated.measure(own_tool("time.sleep(60)"), doubling, CPU, INPUTS, MeasuringLimits(0, 1, 0.0, 0.0), work)


def test_a_process_that_leaves_no_timing_is_an_error(logs, own_tool, doubling, work) -> None:
    with pytest.raises(ToolError, match="cannot read what the tool wrote"):
        isolated.measure(own_tool("os._exit(0)"), doubling, CPU, INPUTS, LIMITS, work)


def test_the_process_imports_no_other_heavy_package() -> None:
    heavy = "{'torch', 'onnx', 'timm', 'torchvision', 'PIL', 'matplotlib', 'hydra', 'rich'}"
    code = f"import sys, runner.tools.isolated, runner.tools.onnxruntime; print({heavy} & set(sys.modules))"
    root = Path(isolated.__file__).parents[2]
    printed = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert printed.stdout.strip() == "set()"
