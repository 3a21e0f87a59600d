"""CANN's atc: ONNX -> .om.

The commands are those of the guides. Flags and formats are from Huawei's "ATC Tool User Guide" (hiascend.com,
devaids/atctool) and atc's own list of them (gitcode.com/cann/ge, api/atc/atc_flags.cc).
"""

from __future__ import annotations

import glob
import hashlib
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner import process
from runner.artifacts import TensorSpec
from runner.compilers import CompileRequest, aipp, atc_flags, cann
from runner.errors import Fault, RunnerError, ToolError
from runner.process import Finished
from runner.tools import Placement, command_line

OLDEST_OPSET = 8
_ERROR_CODE = re.compile(r"^\W*(?:\[\w+\])?\s*(E[0-9A-Z]\d{4})\b", re.MULTILINE)
_VERSION = re.compile(r"^\s*\w*version\s*=\s*\[?([^\]\s]+)", re.MULTILINE | re.IGNORECASE)
_FIXES = {
    "E10001": "look at the value that atc names; for --soc_version: `npu-smi info` shows the chip, soc= chooses it",
    "E19010": "set model.export.opset=11, or rewrite the operator that atc names with a model.surgery",
    "EZ3003": "the card has no such operator: rewrite it with a model.surgery",
}


@dataclass(frozen=True)
class Atc:
    """`environment_script` is CANN's set_env.sh, sourced where atc is not on the PATH.

    `newest_opset` is the newest ONNX opset that the installed atc reads: 13 for CANN 5 and 6.
    """

    environment_script: str = cann.ENVIRONMENT_SCRIPT
    timeout_seconds: float = 3600
    newest_opset: int = 13

    def version(self) -> str:
        """As in "atc of CANN 8.0.RC1", read from the toolkit's own files."""
        found = process.found("atc")
        origin = found or cann.environment_script(self.environment_script)
        if origin is None:
            return "atc (not found)"
        # Above bin/atc, or beside set_env.sh and in its `latest`: the same toolkit, sourced already or not yet.
        folders = list(origin.resolve().parents)[1:4] if found else [origin.parent / "latest", origin.parent]
        release = next(filter(None, map(_release, folders)), None)
        return f"atc of CANN {release}" if release else f"atc {_fingerprint(origin)}"

    def neutral(self) -> tuple[str, ...]:
        """Where CANN is, how long atc may take, and what it is asked before it starts."""
        return ("environment_script", "timeout_seconds", "newest_opset")

    def faults(self, placement: Placement, flags: Mapping[str, Any], opset: int) -> list[Fault]:
        """A missing CANN, a soc that atc cannot be told or the machine does not have, an opset or flags it refuses."""
        return [
            *self._setting_faults(),
            *self._machine_faults(placement),
            *self._opset_faults(opset),
            *atc_flags.faults(flags),
        ]

    def commands(self, request: CompileRequest, out: Path) -> list[tuple[str, ...]]:
        """The one command line.

        Raises:
            ToolError: the normalisation cannot be given to the card.
        """
        flags = {"input_format": input_format(request.inputs), "log": "error"} | atc_flags.spelled(request.flags)
        settings = {
            "framework": "5",
            "model": str(request.model),
            "output": str(out),
            "input_format": flags.pop("input_format"),
            "input_shape": input_shape(request.inputs, request.batch),
            "log": flags.pop("log"),
            "soc_version": request.placement.soc_version or request.placement.soc,
        }
        if request.aipp is not None:
            aipp.config(request.aipp, request.inputs)
            _check_with_aipp(request.flags, settings["input_format"])
            flags = {"insert_op_conf": str(_aipp_file(out))} | flags
        return [("atc", *(f"--{name}={value}" for name, value in (settings | flags).items()))]

    def compile(self, request: CompileRequest, out: Path) -> Path:
        """Compile; returns `<out>.om`. With `request.aipp`, `<out>.aipp.cfg` is written beside it.

        Raises:
            ToolError: atc is missing, fails, or leaves no .om; the opset or the normalisation is none that it takes.
        """
        request = replace(request, model=request.model.absolute(), flags=atc_flags.absolute(request.flags))
        out = out.absolute()
        (argv,) = self.commands(request, out)
        environment = self._environment()
        if environment is None:
            fault = cann.missing("atc", self.environment_script)
            raise ToolError(fault.message, fault.fix)
        out.parent.mkdir(parents=True, exist_ok=True)
        if request.aipp is not None:
            _aipp_file(out).write_text(aipp.config(request.aipp, request.inputs))
        finished = self._run(argv, environment)
        made = _made(out)
        if finished.returncode != 0 or made is None:
            raise _failure(finished, request)
        return made

    def _run(self, argv: tuple[str, ...], environment: Mapping[str, str]) -> Finished:
        # atc leaves reports and kernel caches in its working folder: that one is thrown away.
        with tempfile.TemporaryDirectory(prefix="atc-") as scratch:
            try:
                return process.run(
                    argv,
                    stage="compile",
                    name="atc",
                    timeout_seconds=self.timeout_seconds,
                    environment=environment,
                    cwd=Path(scratch),
                )
            except ToolError as error:
                raise ToolError(
                    f"compile: {error.message}\n    command: {shlex.join(argv)}", error.fix or "look into the log"
                ) from error

    def _environment(self) -> dict[str, str] | None:
        """Variables under which atc is found, if it is."""
        environment = cann.environment(self.environment_script, process.found("atc") is not None)
        if environment is None or process.found("atc", environment) is None:
            return None
        return environment

    def _setting_faults(self) -> Iterator[Fault]:
        if not self.timeout_seconds > 0:
            yield Fault(f"tool.compiler.timeout_seconds is {self.timeout_seconds:g}", "give a number above 0")
        if self.newest_opset < OLDEST_OPSET:
            yield Fault(f"tool.compiler.newest_opset is {self.newest_opset}", f"give {OLDEST_OPSET} or more")

    def _opset_faults(self, opset: int) -> Iterator[Fault]:
        if not OLDEST_OPSET <= opset <= self.newest_opset:
            yield Fault(
                f"model.export.opset is {opset}; atc reads {OLDEST_OPSET} to {self.newest_opset}",
                "set model.export.opset=11; if your CANN reads newer ones, say so with tool.compiler.newest_opset=N",
            )

    def _machine_faults(self, placement: Placement) -> Iterator[Fault]:
        if placement.soc_version is None:
            yield Fault(
                f"soc={placement.soc} has no soc_version, so atc cannot compile for it",
                "set soc.soc_version to what atc calls the chip, as in soc.soc_version=Ascend310P3",
            )
        try:
            environment = self._environment()
        except RunnerError as error:
            yield Fault(error.message, error.fix)
            return
        if environment is None:
            yield cann.missing("atc", self.environment_script)
        if placement.soc_version is not None:
            yield from cann.chip_faults(placement.soc_version, cann.detected_chips(environment))


def input_shape(inputs: tuple[TensorSpec, ...], batch: int) -> str:
    """As in "image:8,3,224,224;mask:8,10"."""
    return ";".join(f"{tensor.name}:{','.join(map(str, (batch, *tensor.shape)))}" for tensor in inputs)


def input_format(inputs: tuple[TensorSpec, ...]) -> str:
    """NCHW for pictures [C, H, W], as the guides have it; ND as soon as one input is something else."""
    return "NCHW" if all(len(tensor.shape) == 3 for tensor in inputs) else "ND"


def _check_with_aipp(flags: Mapping[str, Any], input_format: str) -> None:
    if flags.get("insert_op_conf") is not None:
        raise ToolError(
            "model.aipp=true writes the AIPP file, and model.atc.insert_op_conf names another",
            "leave one of the two out",
        )
    if input_format != "NCHW":
        raise ToolError(
            f"model.aipp=true with model.atc.input_format={input_format}: AIPP makes pictures NCHW",
            "leave model.atc.input_format out",
        )


def _aipp_file(out: Path) -> Path:
    return out.with_name(f"{out.name}.aipp.cfg")


def _made(out: Path) -> Path | None:
    """`<out>.om`; with --host_env_os, atc puts the host's name between the two."""
    whole = out.with_name(f"{out.name}.om")
    candidates = [whole, *sorted(out.parent.glob(f"{glob.escape(out.name)}_*.om"))]
    return next((path for path in candidates if path.is_file() and path.stat().st_size > 0), None)


def _failure(finished: Finished, request: CompileRequest) -> ToolError:
    code = next(iter(_ERROR_CODE.findall(finished.tail)), None)
    if finished.returncode != 0:
        what = f"atc failed with exit status {finished.returncode}"
    else:
        what = "atc ended with exit status 0 but left no .om"
    what += f", error {code}" if code else ""
    return command_line.failed(finished, "compile", what, _fix(code, finished.returncode, request))


def _fix(code: str | None, returncode: int, request: CompileRequest) -> str:
    if code == "E10016":
        declared = ", ".join(tensor.name for tensor in request.inputs)
        found = ", ".join(_input_names(request.model))
        return f"correct model.inputs: it declares {declared}, the ONNX model has {found}"
    if returncode in (128 + 9, 9):
        return "atc was killed, perhaps for want of memory (see dmesg): free some, or take a smaller batch"
    general = "the log tells more with model.atc.log=debug"
    return f"{_FIXES[code]}; {general}" if code in _FIXES else general


def _input_names(model: Path) -> list[str]:
    import onnx

    graph = onnx.load(model, load_external_data=False).graph
    weights = {initializer.name for initializer in graph.initializer}
    return [value.name for value in graph.input if value.name not in weights]


def _release(folder: Path) -> str | None:
    """The version in <arch>-linux/ascend_toolkit_install.info (CANN's quick start names it) or version.cfg."""
    for file in (*sorted(folder.glob("*-linux/ascend_toolkit_install.info")), folder / "version.cfg"):
        if file.is_file():
            found = _VERSION.search(file.read_text(errors="replace"))
            if found is not None:
                return found[1]
    return None


def _fingerprint(file: Path) -> str:
    status = file.stat()
    return hashlib.sha256(f"{file.resolve()} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
