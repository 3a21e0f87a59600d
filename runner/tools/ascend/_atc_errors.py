"""Failures of atc: the cause and the operator from its messages, and what to do.

The messages and codes are those of CANN's own list of errors (gitcode.com/cann/ge, error codes) and of published logs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from runner.core import Finished, ToolError, first_few
from runner.core.lazy import onnx
from runner.graph import onnx_files
from runner.tools import command_line
from runner.tools.ascend import cann
from runner.tools.compiler import CompileRequest

MOST_OPERATORS = 5
"""How many operators an error names."""
_CODE = re.compile(r"(?:^|[\s(\[])(E[0-9A-Z]\d{4})\b", re.MULTILINE)
_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[\d.]*): cannot open shared object")
_MODULE = re.compile(r"No module named '([\w.]+)'")
_OPERATORS = (
    re.compile(r"Ops kernel and engine are found for \[(?P<name>[^\],]+)\], optype \[(?P<type>[^\]]+)\]"),
    re.compile(r"Op \[(?P<name>[^\],]+), optype \[(?P<type>[^\]]+)\]"),
    re.compile(r"Optype \[(?P<type>[^\]]+)\] of Ops kernel \[(?P<name>[^\]]+)\] is unsupported"),
)
_PYTHON_CODES = ("EC0010", "E40000")
"""Of a module that the Python of the operator compiler lacks."""
_FIXES = {
    "E10001": "look at the value that atc names; for --soc_version: `npu-smi info` shows the chip, soc= chooses it",
    "E10007": "look at the flag and the choices that atc names; model.atc sets it",
    "E19010": "set model.export.opset=11, or rewrite the operator that atc names with a model.surgery",
    "EZ3003": "the card has no such operator: rewrite it with a model.surgery, or raise model.export.opset; if atc "
    "names common operators, the operators of this chip are not installed (CANN's kernels or ops package for it)",
    "EZ9999": "an error inside CANN: the lines after the code name the operator or shape that it failed on; rewrite "
    "that with a model.surgery, or take another CANN",
}
_OF_CARDS = (
    "codes EI are of the connection between cards (HCCL), which one card does not need: leave cluster_config out of "
    "model.atc, and unset RANK_TABLE_FILE and the variables HCCL_*"
)


def failure(finished: Finished, request: CompileRequest, environment: Mapping[str, str]) -> ToolError:
    """Return the error of a finished atc that failed or left no .om."""
    said = finished.log.read_text(errors="replace")
    code = _code(said)
    if finished.returncode != 0:
        what = f"atc failed with exit status {finished.returncode}"
    else:
        what = "atc ended with exit status 0 but left no .om"
    what += f", error {code}" if code else ""
    cause = _cause(said)
    what += f": {cause}" if cause else ""
    return command_line.failed(finished, what, _fix(code, said, finished.returncode, request, environment))


def _code(said: str) -> str | None:
    """Return the first code for which there is a fix, else the first."""
    codes = _CODE.findall(said)
    known = (code for code in codes if code in _FIXES or code in _PYTHON_CODES or code == "E10016")
    return next(known, next(iter(codes), None))


def _cause(said: str) -> str:
    library, module = _LIBRARY.search(said), _MODULE.search(said)
    if library is not None:
        return f"{library[1]} is not found"
    if module is not None:
        return f"its Python has no module {module[1]}"
    found = [match for pattern in _OPERATORS for match in pattern.finditer(said)]
    operators = list(dict.fromkeys(f"{match['name']} ({match['type']})" for match in found))
    return f"operator {first_few(operators, MOST_OPERATORS)}" if operators else ""


def _fix(code: str | None, said: str, returncode: int, request: CompileRequest, environment: Mapping[str, str]) -> str:
    library = _LIBRARY.search(said)
    if library is not None:
        return (
            "without a driver, libascend_hal.so is the toolkit's: export "
            "LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$ASCEND_HOME_PATH/$(uname -m)-linux/devlib; for any other library, "
            "source CANN's set_env.sh"
        )
    if code in _PYTHON_CODES or _MODULE.search(said):
        return cann.python_fix("python3")
    if code == "E10016":
        declared = ", ".join(tensor.name for tensor in request.inputs)
        actual = ", ".join(_input_names(request.model))
        return f"correct model.inputs: it declares {declared}, the ONNX model has {actual}"
    if returncode in (128 + 9, 9):
        return "atc was killed, perhaps for want of memory (see dmesg): free some, or take a smaller batch"
    general = f"atc's own log is below {_log_folder(environment)}; model.atc.log=debug has it tell more"
    fix = _OF_CARDS if code is not None and code.startswith("EI") else _FIXES.get(code or "")
    return f"{fix}; {general}" if fix else general


def _log_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of CANN's process logs (CANN log reference: ASCEND_PROCESS_LOG_PATH, else ~/ascend/log)."""
    return Path(environment.get("ASCEND_PROCESS_LOG_PATH") or Path.home() / "ascend" / "log")


def _input_names(model: Path) -> list[str]:
    return [value.name for value in onnx_files.inputs_of(onnx.load(model, load_external_data=False).graph)]
