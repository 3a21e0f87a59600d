"""The previews that runs left beside their results, scaled down and encoded for the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.core.lazy import Image
from runner.data import FORMATS
from runner.results import Result

FILES = ("preview.png", "grid.png")
"""What the tasks' previews are named in a run's folder."""
LARGEST_PIXELS = (960, 1440)
"""The largest width and height on the page."""
TOTAL_BYTES = 16 << 20
"""The largest size of all pictures of a page; later runs get the path of their preview."""
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Preview:
    """A run's preview: its file, and the picture as a data URI with its size in pixels; no URI if `reason` says why."""

    path: str
    uri: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""


def of_runs(runs: Iterable[Result]) -> Mapping[str, Preview]:
    """Return the previews of the runs that have one, by the path of the result."""
    previews: dict[str, Preview] = {}
    used_bytes = 0
    for run in runs:
        file = next((file for name in FILES if (file := Path(run.path).with_name(name)).is_file()), None)
        if file is not None:
            preview = _encoded(file)
            if used_bytes + len(preview.uri) > TOTAL_BYTES:
                preview = Preview(str(file), reason=f"the pictures of this page are limited to {TOTAL_BYTES >> 20} MiB")
            used_bytes += len(preview.uri)
            previews[run.path] = preview
    return previews


def _encoded(file: Path) -> Preview:
    out = io.BytesIO()
    try:
        with Image.open(file, formats=FORMATS) as picture:
            small = picture.convert("RGB")
        small.thumbnail(LARGEST_PIXELS)
        small.save(out, "JPEG", quality=_JPEG_QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Preview(str(file), reason=f"it cannot be read: {error}")
    uri = f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
    return Preview(str(file), uri, *small.size)
