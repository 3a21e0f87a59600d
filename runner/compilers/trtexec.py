"""TensorRT's trtexec: ONNX -> engine, as the T4 columns of the guides' tables were made.

Options are those of samples/trtexec in github.com/NVIDIA/TensorRT (samples/common/sampleOptions.cpp).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import process
from runner.artifacts import TensorSpec
from runner.compilers import CompileRequest
from runner.errors import Fault, ToolError
from runner.tools import Placement, command_line


@dataclass(frozen=True)
class TrtexecBuild:
    """`fp16` lets TensorRT compute in half precision, as the guides' command does."""

    fp16: bool = True
    timeout_seconds: float = 3600

    def version(self) -> str:
        """As in "trtexec 8.5.1.7", from the TensorRT library beside it."""
        return version()

    def neutral(self) -> tuple[str, ...]:
        """How long it may take."""
        return ("timeout_seconds",)

    def faults(self, placement: Placement, flags: Mapping[str, Any], opset: int) -> list[Fault]:
        """A missing trtexec, a time-out of 0, flags: it takes none of a model's own, and every opset."""
        found = list(missing())
        if not self.timeout_seconds > 0:
            found.append(Fault(f"tool.compiler.timeout_seconds is {self.timeout_seconds:g}", "give a number above 0"))
        found += [Fault(f"{name} is no setting of trtexec's compiler", f"take {name} out") for name in flags]
        return found

    def commands(self, request: CompileRequest, out: Path) -> list[tuple[str, ...]]:
        """The one command line. trtexec refuses `--shapes` for a model of fixed shapes."""
        argv = ["trtexec", f"--onnx={request.model}"]
        argv += ["--fp16"] if self.fp16 else []
        argv += [] if request.fixed_batch else [f"--shapes={shapes(request.inputs, request.batch)}"]
        return [(*argv, f"--saveEngine={_engine(out)}")]

    def compile(self, request: CompileRequest, out: Path) -> Path:
        """Compile; returns `<out>.engine`.

        Raises:
            ToolError: trtexec is missing, fails, or leaves no engine.
        """
        if request.aipp is not None:
            raise ToolError("model.aipp=true is Ascend's own", "set model.aipp=false for this soc")
        (argv,) = self.commands(request, out)
        out.parent.mkdir(parents=True, exist_ok=True)
        finished = command_line.run(argv, stage="compile", name="trtexec", timeout_seconds=self.timeout_seconds)
        engine = _engine(out)
        if not engine.is_file() or engine.stat().st_size == 0:
            raise command_line.failed(finished, "compile", "trtexec ended with exit status 0 but left no engine")
        return engine


def version() -> str:
    """trtexec and TensorRT's version as its library's file name has it; else a fingerprint of the program."""
    found = process.found("trtexec")
    if found is None:
        return "trtexec (not found)"
    program = found.resolve()
    for library in sorted(program.parent.parent.glob("lib/libnvinfer.so.*.*")):
        return f"trtexec {library.name.removeprefix('libnvinfer.so.')}"
    status = program.stat()
    text = f"{program} {status.st_size} {status.st_mtime_ns}"
    return f"trtexec {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def missing() -> Iterator[Fault]:
    """The fault of a trtexec that is not on the PATH."""
    if process.found("trtexec") is None:
        yield Fault(
            "trtexec is not on the PATH",
            "install TensorRT and put its folder on the PATH (packages leave it at /usr/src/tensorrt/bin); "
            "dry_run=true shows the commands without it",
        )


def shapes(inputs: tuple[TensorSpec, ...], batch: int) -> str:
    """As in "image:8x3x224x224,mask:8x10"; a name that itself has a colon or a comma stands in quotes."""
    return ",".join(f"{quoted(tensor.name)}:{'x'.join(map(str, (batch, *tensor.shape)))}" for tensor in inputs)


def quoted(name: str) -> str:
    """An input's name as trtexec's lists take it."""
    return f"'{name}'" if set(name) & set(":,") else name


def _engine(out: Path) -> Path:
    return out.with_name(f"{out.name}.engine")
