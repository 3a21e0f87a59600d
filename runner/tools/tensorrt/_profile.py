"""The profile that trtexec writes with --exportProfile: a JSON list of the calls' count, and then of each layer's time.

    [{"count": 11}, {"name": "conv1 + relu1", "timeMs": 2.2, "averageMs": 0.2, "percentage": 40.0}, ...]

As in samples/common/sampleReporting.cpp (Profiler::exportJSONProfile) in github.com/NVIDIA/TensorRT.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from runner.core import ToolError
from runner.tools.command_line import MALFORMED
from runner.tools.profile import Execution


def layers(path: Path) -> Iterator[Execution]:
    """Yield each layer with its mean time; a layer has no type, as it is made of several operators.

    Raises:
        ToolError: the file is missing, truncated or of another format.
    """
    try:
        for entry in json.loads(path.read_text()):
            if "name" in entry:
                yield Execution(entry["name"], "", float(entry["averageMs"]))
    except OSError as error:
        raise ToolError("trtexec ended with exit status 0 but wrote no profile", "look into its log") from error
    except MALFORMED as error:
        raise ToolError(f"the profile that trtexec wrote cannot be read: {error!r}", "look into its log") from error
