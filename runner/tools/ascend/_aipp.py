"""Configuration of AIPP, the card's own preprocessing, from a model's normalisation."""

from __future__ import annotations

from runner.core import TensorSpec, ToolError
from runner.data import Normalisation

MAX_PIXELS = 4096
MAX_SHIFT = 255.0
"""AIPP's limits of the source image's sides and of min_chn_i (ATC guide, AIPP configuration file template)."""


def aipp_config(normalisation: Normalisation, inputs: tuple[TensorSpec, ...]) -> str:
    """Return the AIPP file for normalising uint8 images [N, H, W, C] on the card as the model declares.

    AIPP computes (pixel - mean_chn_i - min_chn_i) * var_reci_chn_i per channel, in float16 (ATC guide, AIPP
    configuration file template); mean_chn_i takes integers only, so it stays 0. The model declares
    (pixel * scale - mean_i) / std_i, which is (pixel - mean_i / scale) * (scale / std_i):

        min_chn_i = mean_i / scale,  var_reci_chn_i = scale / std_i

    Raises:
        ToolError: an input is not an image [3, H, W] within AIPP's size, or a mean is outside AIPP's range.
    """
    for tensor in inputs:
        _check_picture(tensor)
    shifts = [mean / normalisation.scale for mean in _three(normalisation.mean)] if normalisation.scale else [-1.0]
    if not all(0 <= shift <= MAX_SHIFT for shift in shifts):
        raise ToolError(
            f"model.aipp: mean {list(normalisation.mean)} at scale {normalisation.scale:g} is outside of the pixels' "
            f"0 to {MAX_SHIFT:g}, which is all that AIPP subtracts",
            "set model.aipp=false: the host normalises then",
        )
    factors = [normalisation.scale / std for std in _three(normalisation.std)]
    return "".join(_aipp_op(rank, tensor, shifts, factors) for rank, tensor in enumerate(inputs))


def _aipp_op(rank: int, tensor: TensorSpec, shifts: list[float], factors: list[float]) -> str:
    _, height, width = tensor.shape
    settings = {
        "aipp_mode": "static",
        "related_input_rank": rank,
        "input_format": "RGB888_U8",
        "src_image_size_w": width,
        "src_image_size_h": height,
        **{f"min_chn_{channel}": f"{shift:.10g}" for channel, shift in enumerate(shifts)},
        **{f"var_reci_chn_{channel}": f"{factor:.10g}" for channel, factor in enumerate(factors)},
    }
    return "aipp_op {\n" + "".join(f"    {name}: {value}\n" for name, value in settings.items()) + "}\n"


def _three(values: tuple[float, ...]) -> tuple[float, ...]:
    return values * 3 if len(values) == 1 else values


def _check_picture(tensor: TensorSpec) -> None:
    sides = tensor.shape[1:]
    if len(tensor.shape) == 3 and tensor.shape[0] == 3 and all(1 <= side <= MAX_PIXELS for side in sides):
        return
    raise ToolError(
        f"model.aipp: the input {tensor.name} is {list(tensor.shape)}; "
        f"AIPP makes pictures [3, H, W] of at most {MAX_PIXELS} pixels a side",
        "set model.aipp=false: the host normalises then",
    )
