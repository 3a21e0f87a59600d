"""The files of CANN 5.0.1's benchmark: the list of samples that it reads, its outputs, and the rates that it reports.

They follow the zoo's guides: a `.info` line is `index path width height`, outputs are
`result/dumpOutput_device{N}/{stem}_{k}.bin` below the working folder, k from 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from runner.core import ToolError

NUMBER = r"(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
INTERFACE_RATE = re.compile(r"Interface throughputRate\s*[:=]\s*" + NUMBER)
END_TO_END_RATE = re.compile(r"\[e2e\] throughputRate\s*[:=]\s*" + NUMBER)
PURE_RATE = re.compile(r"ave_throughputRate\s*[:=]\s*" + NUMBER)


def info_lines(paths: Iterable[Path], height: int, width: int) -> str:
    """Return the text of the `.info` file.

    Raises:
        ToolError: a path contains white space, the separator of the fields.
    """
    lines = []
    for index, path in enumerate(paths):
        if re.search(r"\s", str(path)):
            raise ToolError(
                f"benchmark's .info file cannot name {path}: white space separates its fields",
                "give a cache_dir without white space in its path",
            )
        lines.append(f"{index} {path} {width} {height}\n")
    return "".join(lines)


def dumped(folder: Path, names: Iterable[str]) -> dict[str, tuple[Path, ...]]:
    """Return the existing outputs `{stem}_{k}.bin`, k from 1, of each sample by its file name."""
    present = {path.name: path for path in folder.glob("*.bin")} if folder.is_dir() else {}
    outputs_by_name = {}
    for name in names:
        stem = name.split(".")[0]
        paths: list[Path] = []
        while (output := present.get(f"{stem}_{len(paths) + 1}.bin")) is not None:
            paths.append(output)
        if paths:
            outputs_by_name[name] = tuple(paths)
    return outputs_by_name


def interface_rate(text: str) -> float:
    """Return samples/s of one chip from a perf_vision file: the last `[infer] ... Interface throughputRate`.

    Raises:
        ToolError: there is none.
    """
    return _rate(text, INTERFACE_RATE, "Interface throughputRate")


def end_to_end_rate(text: str) -> float:
    """Return samples/s from a perf_vision file with reading and preparing: the last `[e2e] throughputRate`.

    Raises:
        ToolError: there is none.
    """
    return _rate(text, END_TO_END_RATE, "[e2e] throughputRate")


def pure_rate(text: str) -> float:
    """Return samples/s of one chip from a PureInfer_perf file.

    Raises:
        ToolError: there is none.
    """
    return _rate(text, PURE_RATE, "ave_throughputRate")


def _rate(text: str, pattern: re.Pattern[str], name: str) -> float:
    rates = pattern.findall(text)
    if not rates or not 0 < float(rates[-1]) < math.inf:
        raise ToolError(
            f"the perf file tells no {name}: {text[:200]!r}", "the tool failed, perhaps without saying so; see its log"
        )
    return float(rates[-1])
