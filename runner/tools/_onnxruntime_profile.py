"""ONNX Runtime's profile, which `SessionOptions.enable_profiling` writes: a JSON list of events, as Chrome traces have.

An operator's execution is an event of category `Node` and name NAME_kernel_time, with `dur` in microseconds and
`args.op_name`, its type (onnxruntime/core/framework/sequential_executor.cc).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from runner.core import ToolError
from runner.tools.command_line import MALFORMED
from runner.tools.profile import Execution

_SUFFIX = "_kernel_time"


def executions(text: str) -> Iterator[Execution]:
    """Yield the executions of operators in a profile.

    Raises:
        ToolError: it is truncated, or of another format.
    """
    try:
        for event in json.loads(text):
            if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX):
                name = event["name"].removesuffix(_SUFFIX)
                yield Execution(name, event["args"]["op_name"], float(event["dur"]) / 1000.0)
    except MALFORMED as error:
        raise ToolError(f"ONNX Runtime's profile cannot be read: {error!r}", "leave benchmark.profile out") from error
