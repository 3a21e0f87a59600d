"""Detection of out-of-memory errors of libraries, tools and the kernel, with the batch size to try instead."""

from __future__ import annotations

import re

from runner.core.errors import OutOfMemoryError, RunnerError, causes, text_of

BATCHED = ("compile", "infer", "benchmark")
"""Stages that need less memory with a smaller batch."""
SIGNS = re.compile(
    r"fail\w* to allocate|unable to allocate|can(?:no|')t allocate memory|bad_?alloc|out ?of ?memory"  # libraries
    r"|\bMemoryError\b|memory_allocation_failure|\bEL0004\b|\b207001\b|malloc\w*(?: \w+){0,3} fail"  # CANN, aclruntime
    r"|array is too big|failed to map segment from shared object(?!: Operation not)"  # numpy, the dynamic linker
    r"|GPU memory \(\d+ bytes\) could not be allocated"  # TensorRT
    r"|killed by SIGKILL|exit status 137\b",  # the kernel, directly and through a shell
    re.IGNORECASE,
)
"""207001 is ACL_ERROR_RT_MEMORY_ALLOCATION, EL0004 "Failed to allocate memory" (CANN's acl_rt.h, its error codes)."""
_WHERE = "`free -h` and `npu-smi info` or `nvidia-smi` show what is taken, dmesg what the kernel killed"


def explained(error: BaseException, stage: str, batch: int) -> RunnerError | None:
    """Return an OutOfMemoryError that suggests a smaller batch if the error means out of memory; else None."""
    if not any(
        isinstance(cause, MemoryError) or SIGNS.search(_text(cause)) for cause in causes(error, with_suppressed=False)
    ):
        return None
    message = _text(error) if isinstance(error, RunnerError) else f"{type(error).__name__}: {text_of(error)}"
    if stage not in BATCHED:
        return OutOfMemoryError(
            f"there is not enough memory for this stage, whatever the batch: {message}",
            "free some, or run on a machine with more (`free -h`; dmesg tells what the kernel killed)",
        )
    smaller = f"try batch={batch // 2}" if batch > 1 else "no batch is smaller: free some, or take a larger device"
    return OutOfMemoryError(f"batch {batch} does not fit into memory: {message}", f"{smaller}; {_WHERE}")


def _text(error: BaseException) -> str:
    return error.message if isinstance(error, RunnerError) else text_of(error)
