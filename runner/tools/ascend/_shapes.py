"""Shapes on the command lines of atc and ais_bench, and gears: the shapes that one offline model (.om) serves.

atc's flags and their limits are those of the ATC guide and of atc's checks (gitcode.com/cann/ge, option_utils.cc and
multi_batch_options.cc); ais_bench's are as in github.com/Ascend/tools at 9d6da90 (backend/base/module/ModelInfer).
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.core import FREE, CompiledModel, TensorSpec
from runner.tools.compiler import per_axis
from runner.tools.tool import DryRunPaths

MOST_GEARS = 100
"""More are refused (kMaxShapesCount in multi_batch_options.cc)."""

Inputs = tuple[TensorSpec, ...]


def input_shape(inputs: Inputs, batch: int) -> str:
    """Return text such as "image:8,3,224,224;mask:8,10", with -1 for free sizes."""
    return ";".join(f"{tensor.name}:{','.join(map(str, (batch, *tensor.shape)))}" for tensor in inputs)


def input_range(gears: Sequence[Inputs], batches: Sequence[int]) -> str:
    """Return text such as "image:1~8,3,224~640,224~640": all sizes of the gears and batches, and those between them."""
    pairs = zip(per_axis(min, gears), per_axis(max, gears), strict=True)
    batch = _from_to(min(batches), max(batches))
    return ";".join(
        f"{least.name}:{','.join([batch, *map(_from_to, least.shape, most.shape)])}" for least, most in pairs
    )


def _from_to(least: int, most: int) -> str:
    return str(least) if least == most else f"{least}~{most}"


def input_format(inputs: Inputs) -> str:
    """Return NCHW if all inputs are images [C, H, W], as in the guides, else ND."""
    return "NCHW" if all(len(tensor.shape) == 3 for tensor in inputs) else "ND"


def spanning(gears: Sequence[Inputs]) -> Inputs:
    """Return the inputs of all gears as one: FREE where they differ."""
    return per_axis(lambda sizes: sizes[0] if len(set(sizes)) == 1 else FREE, gears)


def gear_flags(inputs: Inputs, gears: Sequence[Inputs]) -> dict[str, str]:
    """Return atc's flags for `inputs` with free sizes: those sizes in each gear, in the order of `inputs`.

    atc takes dynamic_image_size for height and width of an NCHW picture, and dynamic_dims, with ND, for anything else.
    """
    gear_sizes = ";".join(",".join(map(str, _free_sizes(inputs, gear))) for gear in gears)
    if _is_free_picture(inputs):
        return {"input_format": "NCHW", "dynamic_image_size": gear_sizes}
    return {"input_format": "ND", "dynamic_dims": gear_sizes}


def choice_of(model: CompiledModel) -> tuple[str, ...]:
    """Return the flags by which ais_bench and ais_infer choose the batch size and shapes of a call.

    None for a model of one batch size and shape.
    """
    if model.is_range:
        sizes = ",".join(map(str, output_bytes(model)))
        return ("--dymShape", input_shape(model.inputs, model.batch), "--outputSize", sizes)
    return choice(model.inputs, model.batch, [gear.inputs for gear in model.gears], model.batches)


def output_bytes(model: CompiledModel) -> list[int]:
    """Return the size of each output of a call, which is not known to a model that was compiled for a range."""
    return [model.batch * tensor.sample_bytes for tensor in model.outputs]


def choice_shown(paths: DryRunPaths) -> tuple[str, ...]:
    """Return these flags for a dry run, in which -1 stands for what only the samples or the outputs tell."""
    if paths.is_range:
        return ("--dymShape", input_shape(paths.inputs, paths.batch), "--outputSize", str(FREE))
    return choice(paths.inputs, paths.batch, batches=paths.batches)


def choice(inputs: Inputs, batch: int, gears: Sequence[Inputs] = (), batches: Sequence[int] = ()) -> tuple[str, ...]:
    """Return the flags that choose a gear; if the gears are not known yet, -1 stands for free sizes of `inputs`."""
    if batches:
        return ("--dymBatch", str(batch))
    spanned = spanning(gears) if gears else inputs
    if not any(tensor.is_free for tensor in spanned):
        return ()
    if _is_free_picture(spanned):
        return ("--dymHW", ",".join(map(str, _free_sizes(spanned, inputs))))
    return ("--dymDims", input_shape(inputs, batch))


def _is_free_picture(inputs: Inputs) -> bool:
    """Return whether height and width of one picture [C, H, W] are free, and nothing else."""
    return len(inputs) == 1 and [size == FREE for size in inputs[0].shape] == [False, True, True]


def _free_sizes(inputs: Inputs, gear: Inputs) -> list[int]:
    return [
        own
        for tensor, chosen in zip(inputs, gear, strict=True)
        for size, own in zip(tensor.shape, chosen.shape, strict=True)
        if size == FREE
    ]
