"""CANN's atc, a compiler from ONNX to .om.

The commands follow the guides. Flags and formats are from Huawei's "ATC Tool User Guide" (hiascend.com,
devaids/atctool) and atc's own list of them (gitcode.com/cann/ge, api/atc/atc_flags.cc).
"""

from __future__ import annotations

import glob
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.core import FREE, Finished, Placement, Problem, RunnerError, TensorSpec, ToolError, bounded, bounds, process
from runner.tools import command_line
from runner.tools.ascend import _aipp as aipp
from runner.tools.ascend import _atc_errors as atc_errors
from runner.tools.ascend import _atc_flags as atc_flags
from runner.tools.ascend import _shapes as shapes
from runner.tools.ascend import cann
from runner.tools.compiler import CompileRequest

OLDEST_OPSET = 8
OPSET_OF_CANN_6 = 13
OPSET_OF_CANN_7 = 18
"""The newest ONNX opsets that CANN 5 and 6, and CANN from 7 on read."""
_MAJOR = re.compile(r"(\d+)\.")
_FOLDER = re.compile(r"(?:cann-)?(\d+\.\d+[\w.]*)")
_VERSION = re.compile(r"^\s*\w*version\s*=\s*\[?([^\]\s]+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Atc:
    """`environment_script` is CANN's set_env.sh, sourced if atc is not on the PATH.

    `newest_opset` is the newest ONNX opset that the installed atc reads; None goes by CANN's version.
    """

    environment_script: str = cann.ENVIRONMENT_SCRIPT
    timeout_seconds: float = bounded(3600, above=0)
    newest_opset: int | None = bounded(None, least=OLDEST_OPSET)

    def version(self) -> str:
        """Return text such as "atc of CANN 8.0.RC1", read from the toolkit's own files."""
        origin = self._origin()
        if origin is None:
            return "atc (not found)"
        release = _release_of(origin)
        return f"atc of CANN {release}" if release else f"atc {command_line.fingerprint(origin)}"

    def _origin(self) -> Path | None:
        return process.found("atc") or cann.environment_script(self.environment_script)

    def excluded_from_key(self) -> tuple[str, ...]:
        """Return the location of CANN, the timeout, and the limit that is only checked in validate()."""
        return ("environment_script", "timeout_seconds", "newest_opset")

    def validate(
        self, placement: Placement, flags: Mapping[str, Any], opset: int, inputs: Sequence[TensorSpec] = ()
    ) -> list[Problem]:
        """Return problems: CANN is missing, the soc has no name for atc or is not present, invalid opset or flags."""
        return [
            *bounds.problems(self, "tool.compiler"),
            *self._machine_problems(placement),
            *self._opset_problems(opset),
            *atc_flags.problems(flags, inputs),
        ]

    def path_problems(self, folder: Path) -> list[Problem]:
        """Return a problem if atc refuses the paths of models in this folder."""
        return command_line.path_problems(
            folder.resolve(), "atc", atc_flags.PATH, "a-z A-Z 0-9 . _ - and Chinese characters"
        )

    def commands(self, request: CompileRequest, out: Path) -> list[tuple[str, ...]]:
        """Return the only command line.

        Without `gears`, free sizes of the inputs stand in their places as -1.

        Raises:
            ToolError: the card cannot do the normalisation, or the gears are too many.
        """
        flags = atc_flags.spelled(request.flags)
        settings = {
            "framework": "5",
            "model": str(request.model),
            "output": str(out),
            **_shape_flags(request),
            "log": "error",
            "soc_version": request.placement.soc_version or request.placement.soc,
        }
        settings |= {name: flags.pop(name) for name in settings if name in flags}
        if request.aipp is not None:
            aipp.aipp_config(request.aipp, request.inputs)
            _check_with_aipp(request.flags, settings["input_format"])
            flags = {"insert_op_conf": str(_aipp_file(out))} | flags
        return [("atc", *(f"--{name}={value}" for name, value in (settings | flags).items()))]

    def compile(self, request: CompileRequest, out: Path) -> Path:
        """Compile and return `<out>.om`. With `request.aipp`, write `<out>.aipp.cfg` beside it.

        Raises:
            ToolError: atc is missing, fails, or leaves no .om; or the normalisation is unsupported.
        """
        request = replace(request, model=request.model.absolute(), flags=atc_flags.absolute(request.flags))
        out = out.absolute()
        (argv,) = self.commands(request, out)
        environment = self._environment()
        if environment is None:
            problem = cann.missing("atc", self.environment_script)
            raise ToolError(problem.message, problem.fix)
        out.parent.mkdir(parents=True, exist_ok=True)
        if request.aipp is not None:
            _aipp_file(out).write_text(aipp.aipp_config(request.aipp, request.inputs))
        finished = self._run(argv, environment)
        made = _made(out)
        if finished.returncode != 0 or made is None:
            raise atc_errors.failure(finished, request, environment)
        return made

    def _run(self, argv: tuple[str, ...], environment: Mapping[str, str]) -> Finished:
        # atc leaves reports and kernel caches in its working folder, which is therefore temporary.
        with tempfile.TemporaryDirectory(prefix="atc-") as scratch, command_line.naming_command(argv):
            return process.run(
                argv,
                stage="compile",
                name="atc",
                timeout_seconds=self.timeout_seconds,
                environment=environment,
                cwd=Path(scratch),
            )

    def _environment(self) -> dict[str, str] | None:
        """Return the environment variables for atc, with atc on the PATH, or None."""
        environment = cann.environment(self.environment_script, process.found("atc") is not None)
        if environment is None or process.found("atc", environment) is None:
            return None
        return cann.compiler_environment(environment)

    def _opset_problems(self, opset: int) -> Iterator[Problem]:
        newest = self.newest_opset or self._newest_opset()
        if not OLDEST_OPSET <= opset <= newest:
            yield Problem(
                f"model.export.opset is {opset}; atc reads {OLDEST_OPSET} to {newest}",
                "set model.export.opset=11; if your CANN reads newer ones, say so with tool.compiler.newest_opset=N",
            )

    def _newest_opset(self) -> int:
        """Return the newest opset of the installed CANN; that of CANN 6 if its version is not known."""
        origin = self._origin()
        release = None if origin is None else _release_of(origin)
        major = _MAJOR.match(release) if release else None
        # Versions such as 20.2 and 21.0.4 are older than 5.
        return OPSET_OF_CANN_7 if major and 7 <= int(major[1]) < 20 else OPSET_OF_CANN_6

    def _machine_problems(self, placement: Placement) -> Iterator[Problem]:
        if placement.soc_version is None:
            yield Problem(
                f"soc={placement.soc} has no soc_version, so atc cannot compile for it",
                "set soc.soc_version to what atc calls the chip, as in soc.soc_version=Ascend310P3",
            )
        try:
            environment = self._environment()
        except RunnerError as error:
            yield error.problem
            return
        if environment is None:
            # without CANN, the problem is the same as the tool's, and told once
            script = self.environment_script
            yield from cann.problems(script) or [cann.missing("atc", script)]
            return
        yield from cann.python_problems(environment)
        if placement.soc_version is not None:
            yield from cann.operator_problems(environment, placement.soc_version)


def _shape_flags(request: CompileRequest) -> dict[str, str]:
    """Return the flags that tell the inputs' shapes, -1 for sizes in which the gears differ."""
    if request.is_range:
        gears = request.gears or [request.inputs]
        return {
            "input_format": shapes.input_format(gears[0]),
            "input_shape": shapes.input_range(gears, request.batches or [request.batch]),
        }
    count = len(request.gears)
    if count > shapes.MOST_GEARS:
        raise ToolError(
            f"the samples have {count} shapes, and atc compiles a model for at most {shapes.MOST_GEARS}",
            "have fewer shapes: pad pictures to a larger model.preprocess.multiple, or all to one size, as with "
            "model.preprocess.fit=inside and model.preprocess.size=[H,W]; or compile for a range: tool.shapes=range",
        )
    if request.batches:
        return {
            "input_format": shapes.input_format(request.inputs),
            "input_shape": shapes.input_shape(request.inputs, FREE),
            "dynamic_batch_size": ",".join(map(str, request.batches)),
        }
    inputs = shapes.spanning(request.gears) if request.gears else request.inputs
    flags = {
        "input_format": shapes.input_format(inputs),
        "input_shape": shapes.input_shape(inputs, request.batch),
    }
    if any(tensor.is_free for tensor in inputs):
        flags |= shapes.gear_flags(inputs, request.gears or [inputs])
    return flags


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
    """Return the compiled file `<out>.om`, or `<out>_<host>.om` with --host_env_os; None if missing or empty."""
    whole = out.with_name(f"{out.name}.om")
    candidates = [whole, *sorted(out.parent.glob(f"{glob.escape(out.name)}_*.om"))]
    return next((path for path in candidates if path.is_file() and path.stat().st_size > 0), None)


def _release_of(origin: Path) -> str | None:
    """Return CANN's version from the files, or else the names, of its folders above bin/atc or at set_env.sh."""
    is_program = origin.name == "atc"
    # Of set_env.sh, its folder and its `latest`: the same toolkit before and after sourcing.
    folders = list(origin.resolve().parents)[1:4] if is_program else [origin.parent / "latest", origin.parent]
    named = (match[1] for match in map(_FOLDER.fullmatch, (folder.resolve().name for folder in folders)) if match)
    return next(filter(None, map(_release, folders)), None) or next(named, None)


def _release(folder: Path) -> str | None:
    """Read the version from <arch>-linux/ascend_toolkit_install.info (see CANN's quick start) or version.cfg."""
    for file in (*sorted(folder.glob("*-linux/ascend_toolkit_install.info")), folder / "version.cfg"):
        if file.is_file():
            match = _VERSION.search(file.read_text(errors="replace"))
            if match is not None:
                return match[1]
    return None
