"""A batch that does not fit is told with the batch to try, and the rest of a sweep goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.core import OutOfMemoryError, ToolError, out_of_memory, process
from runner.tools import command_line

# Word for word: ONNX Runtime 1.31 and torch 2.15 under RLIMIT_AS, numpy 2; torch.cuda; vllm-project/vllm-ascend#3141
# (CANN 8.2); aclruntime's Tensor.cpp; NVIDIA/TensorRT#3017 and #4258.
TOLD = {
    "onnxruntime": "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Expand node. Name:'' "
    "Status Message: bfc_arena.cc:360 AllocateRawInternal Failed to allocate memory for requested buffer of size 256",
    "onnxruntime's C++": "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: std::bad_alloc",
    "torch": "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 25600000000 bytes. Error code 12 (Cannot allocate memory)",
    "torch on CUDA": "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 15.00 GiB",
    "numpy": "Unable to allocate 23.8 GiB for an array with shape (64, 100000000) and data type float32",
    "numpy's sizes": "array is too big; `arr.size * arr.dtype.itemsize` is larger than the maximum possible size.",
    "the dynamic linker": "libtorch_cpu.so: failed to map segment from shared object",
    "CANN": "EL0004: [PID: 316198] 2025-09-28-07:22:29.827.496 Failed to allocate memory.",
    "CANN's code": "[ERROR] model execute failed, error code is 207001",
    "aclruntime": "[ERROR] aclrtMalloc failed, ret: 207001",
    "aclruntime's buffers": "[ERROR] malloc device buffer failed, size is 616562688",
    "TensorRT 8": "[E] [TRT] 2: [executionContext.cpp::ExecutionContext::470] Error Code 2: OutOfMemory (no further)",
    "TensorRT 10": "[E] Error[1]: [defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)",
    "the kernel": "python3 was killed by SIGKILL after 3.0 seconds.",
    "the kernel, through a shell": "ais_bench failed with exit status 137",
}


@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD)
def test_each_way_of_telling_it_is_known(told: str) -> None:
    explained = out_of_memory.explained(ToolError(told), "infer", 32)
    assert isinstance(explained, OutOfMemoryError)
    assert told in explained.message
    assert explained.fix.startswith("try batch=16")


@pytest.mark.parametrize("error", [MemoryError(), MemoryError("Unable to allocate 5 GiB")])
def test_python_s_own_is_known(error: Exception) -> None:
    assert isinstance(out_of_memory.explained(error, "benchmark", 4), OutOfMemoryError)


def test_what_it_was_raised_for_counts() -> None:
    try:
        try:
            raise RuntimeError(TOLD["torch"])
        except RuntimeError as error:
            raise ToolError("it failed") from error
    except ToolError as error:
        assert isinstance(out_of_memory.explained(error, "infer", 4), OutOfMemoryError)


@pytest.mark.parametrize(
    "told", ["error code is 507015", "was still running after 5 seconds; its children were killed"]
)
def test_other_failures_stay_what_they_are(told: str) -> None:
    assert out_of_memory.explained(ToolError(told), "infer", 32) is None


def test_the_smallest_batch_has_no_smaller_one_to_try() -> None:
    explained = out_of_memory.explained(MemoryError(), "infer", 1)
    assert explained is not None
    assert "batch=" not in explained.fix
    assert "no batch is smaller" in explained.fix


def test_a_stage_that_no_batch_concerns_is_told_so() -> None:
    explained = out_of_memory.explained(MemoryError(), "reference", 32)
    assert explained is not None
    assert "whatever the batch" in explained.message


def test_the_line_that_tells_it_is_quoted_however_long_the_log(tmp_path: Path) -> None:
    lines = [*["[ERROR] something"] * 8, TOLD["CANN"], *[f"        TraceBack line {number}" for number in range(25)]]
    with process.logging_to(tmp_path), pytest.raises(ToolError) as error:
        command_line.run(
            [sys.executable, "-c", f"print({chr(10).join(lines)!r}); raise SystemExit(1)"],
            stage="infer",
            name="tool",
            timeout_seconds=20,
        )
    assert isinstance(out_of_memory.explained(error.value, "infer", 8), OutOfMemoryError)


WIDE = """
from torch import Tensor, nn

class Wide(nn.Module):
    '''16 MiB a sample between small inputs and small outputs.'''

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, classes)

    def forward(self, image: Tensor) -> Tensor:
        wide = nn.functional.interpolate(image, scale_factor=148.0, mode="nearest")
        return self.classifier(wide.relu().mean((2, 3)))
"""
LIMITED = """
import resource, sys
import onnxruntime, torch, onnx, onnxsim
sys.path.insert(0, {folder!r})
from runner.__main__ import main
sys.argv[1:] = {arguments!r}
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + {more},) * 2)
sys.exit(main())
"""


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_told_and_the_next_one_runs(tiny_zoo: Path, tiny_arguments: list[str]) -> None:
    (tiny_zoo / "tiny_zoo" / "wide.py").write_text(WIDE)
    arguments = [
        "--config-dir",
        "conf",
        "-m",
        "hydra.sweep.dir=sweep",
        "batch=512,1",
        "weights=random",
        "stages=[infer]",
    ]
    arguments += [*tiny_arguments, "allow=[tiny_zoo]", "model.network._target_=tiny_zoo.wide.Wide"]
    code = LIMITED.format(folder=str(tiny_zoo), arguments=arguments, more=4 << 30)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tiny_zoo,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 1, done.stdout + done.stderr
    first, second = (json.loads((tiny_zoo / "sweep" / job / "result.json").read_text()) for job in ("0", "1"))
    assert (first["status"], first["error"]["stage"]) == ("failed", "infer")
    assert "batch 512 does not fit into memory" in first["error"]["message"]
    assert "try batch=256" in first["error"]["fix"]
    assert (second["status"], second["batch"]) == ("ok", 1)
