"""The file op_summary*.csv of CANN's profiler msprof: a line for each execution of an operator.

Its columns differ between versions of CANN; those that are read here have had one name in all of them: `Op Name`,
`OP Type`, `Task Duration(us)` (analysis/msconfig of the profiler: op_summary's headers "Model Name,Model ID,Task ID,
Stream ID,Infer ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),Task Wait Time(us),Block Dim,...").
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from runner.core import ToolError
from runner.tools.profile import Execution

NAME, TYPE, DURATION_US = "Op Name", "OP Type", "Task Duration(us)"
ABSENT = "N/A"
"""msprof's word for what does not apply, as for tasks that are no operators."""


def executions(text: str) -> Iterator[Execution]:
    """Yield the executions of operators in the content of a file, in its order, which is that of time.

    Raises:
        ToolError: it is no CSV, lacks columns, or a duration is no number.
    """
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    try:
        yield from _executions(reader)
    except csv.Error as error:
        raise ToolError(
            f"msprof's op_summary cannot be read as CSV: line {reader.line_num + 1}: {error}",
            "measure again without benchmark.profile, or call msprof by hand",
        ) from error


def _executions(reader: csv.DictReader[str]) -> Iterator[Execution]:
    columns = reader.fieldnames or ()
    absent = sorted({NAME, TYPE, DURATION_US} - set(columns))
    if absent:
        raise ToolError(
            f"msprof's op_summary has no column {', '.join(absent)}; it has {', '.join(columns)}",
            "this version of CANN writes another format: leave benchmark.profile out, and call msprof by hand",
        )
    for row in reader:
        if row[NAME] == ABSENT or row[DURATION_US] == ABSENT:
            continue
        try:
            milliseconds = float(row[DURATION_US]) / 1000.0
        except (TypeError, ValueError) as error:
            raise ToolError(
                f"msprof's op_summary tells a duration of {row[DURATION_US]} for {row[NAME]}",
                "it did not get to its end; is the disk full?",
            ) from error
        yield Execution(row[NAME], row[TYPE], milliseconds)


def find(folder: Path) -> list[Path]:
    """Return the files below a folder, in the order of their names.

    They lie in PROF_*/device_N/summary, or from CANN 7 on in PROF_*/mindstudio_profiler_output.

    Raises:
        ToolError: there is none.
    """
    paths = sorted(folder.rglob("op_summary*.csv"))
    if not paths:
        raise ToolError(
            f"msprof wrote no op_summary*.csv below {folder}",
            "look into the tool's log: the driver may refuse a profile to this user, or in a container",
        )
    return paths
