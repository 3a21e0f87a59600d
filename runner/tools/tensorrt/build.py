"""TensorRT's trtexec as a compiler from ONNX to an engine, as for the T4 columns of the guides' tables.

Options are those of samples/trtexec in github.com/NVIDIA/TensorRT (samples/common/sampleOptions.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.core import Placement, Problem, TensorSpec, ToolError, bounded, bounds, process
from runner.tools import command_line
from runner.tools.compiler import CompileRequest, per_axis


@dataclass(frozen=True)
class TrtexecBuild:
    """`fp16` lets TensorRT compute in half precision, as the guides' command does."""

    fp16: bool = True
    timeout_seconds: float = bounded(3600, above=0)

    def version(self) -> str:
        """Return text such as "trtexec 8.5.1.7", from the TensorRT library beside it."""
        return version()

    def excluded_from_key(self) -> tuple[str, ...]:
        """Return the timeout."""
        return ("timeout_seconds",)

    def validate(
        self, placement: Placement, flags: Mapping[str, Any], opset: int, inputs: Sequence[TensorSpec] = ()
    ) -> list[Problem]:
        """Return problems: a missing trtexec, a timeout of 0, any flags of a model; every opset is accepted."""
        problems = [*missing(), *bounds.problems(self, "tool.compiler")]
        return problems + [Problem(f"{name} is no setting of trtexec's compiler", f"take {name} out") for name in flags]

    def commands(self, request: CompileRequest, out: Path) -> list[tuple[str, ...]]:
        """Return the only command line."""
        argv = ["trtexec", f"--onnx={request.model}"]
        argv += ["--fp16"] if self.fp16 else []
        return [(*argv, *_shape_options(request), f"--saveEngine={_engine(out)}")]

    def compile(self, request: CompileRequest, out: Path) -> Path:
        """Compile and return `<out>.engine`.

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
            raise command_line.failed(finished, "trtexec ended with exit status 0 but left no engine")
        return engine


def version() -> str:
    """Return trtexec with TensorRT's version from its library's file name, or a fingerprint of the program."""
    path = process.found("trtexec")
    if path is None:
        return "trtexec (not found)"
    program = path.resolve()
    for library in sorted(program.parent.parent.glob("lib/libnvinfer.so.*.*")):
        return f"trtexec {library.name.removeprefix('libnvinfer.so.')}"
    return f"trtexec {command_line.fingerprint(program)}"


def missing() -> Iterator[Problem]:
    """Yield a problem if trtexec is not on the PATH."""
    if process.found("trtexec") is None:
        yield Problem(
            "trtexec is not on the PATH",
            "install TensorRT and put its folder on the PATH (packages leave it at /usr/src/tensorrt/bin); "
            "dry_run=true shows the commands without it",
        )


def _shape_options(request: CompileRequest) -> list[str]:
    """Return the shapes to build for: none for a static model, for which trtexec rejects them.

    Several batch sizes or gears become one optimisation profile, from the smallest sizes to the largest, tuned for the
    largest batch and the most common gear.
    """
    if not request.gears and not request.batches:
        return [] if request.is_static else [f"--shapes={shapes(request.inputs, request.batch)}"]
    gears = request.gears or (request.inputs,)
    least = min(request.batches, default=request.batch)
    profile = {
        "min": shapes(per_axis(min, gears), least),
        "opt": shapes(gears[0], request.batch),
        "max": shapes(per_axis(max, gears), request.batch),
    }
    return [f"--{name}Shapes={text}" for name, text in profile.items()]


def shapes(inputs: tuple[TensorSpec, ...], batch: int) -> str:
    """Return text such as "image:8x3x224x224,mask:8x10"; names with a colon or a comma are quoted."""
    return ",".join(f"{quoted(tensor.name)}:{'x'.join(map(str, (batch, *tensor.shape)))}" for tensor in inputs)


def quoted(name: str) -> str:
    """Return an input's name, quoted as required in trtexec's lists."""
    return f"'{name}'" if set(name) & set(":,") else name


def _engine(out: Path) -> Path:
    return out.with_name(f"{out.name}.engine")
