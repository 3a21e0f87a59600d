"""The stand-in for an .om: what the stand-in `atc` writes, and other stand-ins read and run.

Layout: a magic line, the header's length (8 bytes, little-endian), the header as JSON, the ONNX bytes. The header:

    soc_version  "Ascend310P3"
    batch        4, fixed as in a real .om
    inputs       [{"name", "dtype", "shape"}], as the .om takes them, the batch included: uint8 [N, H, W, C] with AIPP;
                 -1 where gears differ
    outputs      the same
    gears        null, or {"by": "dynamic_image_size" or "dynamic_dims", "shapes": [{input's name: its shape}, ...]}
    profile      null, or a TensorRT engine's {"min": {input's name: its shape}, "max": the same}
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
    """Write a stand-in .om that others cannot read, as GE's FileSaver does."""
    text = json.dumps(header).encode()
    Path(path).write_bytes(MAGIC + len(text).to_bytes(8, "little") + text + onnx_bytes)
    Path(path).chmod(0o600)


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

    `feeds` holds every input by name, of the header's dtype and of one of its shapes; ValueError where it does not.
    """
    header, session = _session(str(path), Path(path).stat().st_mtime_ns)
    dtypes = {tensor["name"]: tensor["dtype"] for tensor in header["inputs"]}
    given = {name: list(array.shape) for name, array in feeds.items()}
    if not serves(header, given) or {name: array.dtype.name for name, array in feeds.items()} != dtypes:
        raise ValueError(f"the model takes {header}, given {given}")
    values = dict(feeds)
    if header["aipp"] is not None:
        name = header["aipp"]["input"]
        values[name] = _normalised(values[name], header["aipp"])
    return [_rounded(output) for output in session.run(None, values)]


def gears_of(header: Mapping[str, Any]) -> list[dict[str, list[int]]]:
    """The shapes that an .om serves, by the inputs' names: one, or its gears'."""
    if header["gears"] is not None:
        return header["gears"]["shapes"]
    return [{tensor["name"]: tensor["shape"] for tensor in header["inputs"]}]


def serves(header: Mapping[str, Any], shapes: Mapping[str, list[int]]) -> bool:
    """Whether the model takes inputs of these shapes."""
    if header["profile"] is None:
        return shapes in gears_of(header)
    least, most = header["profile"]["min"], header["profile"]["max"]
    return shapes.keys() == most.keys() and all(
        len(shape) == len(most[name])
        and all(low <= size <= high for low, size, high in zip(least[name], shape, most[name], strict=True))
        for name, shape in shapes.items()
    )


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
