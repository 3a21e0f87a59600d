"""The stand-in for an .om: what the stand-in `atc` writes, and other stand-ins read and run.

Layout: a magic line, the header's length (8 bytes, little-endian), the header as JSON, the ONNX bytes. The header:

    soc_version  "Ascend310P3"
    batch        4, fixed as in a real .om
    inputs       [{"name", "dtype", "shape"}], as the .om takes them, the batch included: uint8 [N, H, W, C] with AIPP
    outputs      the same
    aipp         null, or {"input": name, "min_chn": [3 floats], "var_reci_chn": [3 floats], "mean_chn": [3 ints]}
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"stand-in om\n"


def pack(path: str | Path, header: dict[str, Any], onnx_bytes: bytes) -> None:
    """Write a stand-in .om."""
    text = json.dumps(header).encode()
    Path(path).write_bytes(MAGIC + len(text).to_bytes(8, "little") + text + onnx_bytes)


def unpack(path: str | Path) -> tuple[dict[str, Any], bytes]:
    """The header and the ONNX bytes; ValueError for another kind of file or a truncated one."""
    content = Path(path).read_bytes()
    start = len(MAGIC) + 8
    if not content.startswith(MAGIC) or len(content) < start:
        raise ValueError(f"{path} is no offline model")
    end = start + int.from_bytes(content[len(MAGIC) : start], "little")
    if len(content) <= end:
        raise ValueError(f"{path} is truncated")
    return json.loads(content[start:end]), content[end:]


def run(path: str | Path, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """The outputs in order, computed by ONNX Runtime, floats rounded through float16 as the 310P computes.

    `feeds` holds every input by name, of exactly the header's dtype and shape; ValueError where it does not.
    """
    header, session = _session(str(path), Path(path).stat().st_mtime_ns)
    wanted = {tensor["name"]: (tensor["dtype"], tuple(tensor["shape"])) for tensor in header["inputs"]}
    given = {name: (array.dtype.name, array.shape) for name, array in feeds.items()}
    if given != wanted:
        raise ValueError(f"the model takes {wanted}, given {given}")
    values = dict(feeds)
    if header["aipp"] is not None:
        name = header["aipp"]["input"]
        values[name] = _normalised(values[name], header["aipp"])
    return [_rounded(output) for output in session.run(None, values)]


@functools.lru_cache(maxsize=2)
def _session(path: str, changed_ns: int) -> tuple[dict[str, Any], Any]:
    import onnxruntime

    header, onnx_bytes = unpack(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return header, onnxruntime.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])


def _normalised(pictures: NDArray[Any], aipp: Mapping[str, Any]) -> NDArray[np.float32]:
    """uint8 [N, H, W, C] -> float32 [N, C, H, W], by CANN's (pixel - mean_chn - min_chn) * var_reci_chn."""
    shift = np.asarray(aipp["mean_chn"], np.float32) + np.asarray(aipp["min_chn"], np.float32)
    values = (pictures.astype(np.float32) - shift) * np.asarray(aipp["var_reci_chn"], np.float32)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def _rounded(output: NDArray[Any]) -> NDArray[Any]:
    return output.astype(np.float16).astype(output.dtype) if output.dtype.kind == "f" else output
