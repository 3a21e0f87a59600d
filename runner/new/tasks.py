"""What a draft says beyond its network, by task: preprocessing, decoder, and the data set to try it on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.config.schema import PreprocessConfig
from runner.core import FREE, ConfigError, TensorSpec
from runner.data.random_inputs import example

CLASSIFICATION = "image_classification"
NOISE = "noise"
"""The data set for what does not take pictures, or whose outputs cannot be decoded."""
MULTIPLE = 32
"""What free sides are padded to a multiple of: the total stride of most networks."""
GREY_PADDING = 114
"""The padding of the YOLOs' pictures."""
MOST_SELECTED_BOXES = 1000
"""One output [boxes, 6] with more of them holds candidates, not the boxes that a suppression in the graph kept."""
CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""A stand-in for the alphabet of a network that reads text; CJK characters follow where it has more classes."""

Specs = Sequence[TensorSpec]
Metadata = Mapping[str, str]


@dataclass(frozen=True)
class Decoded:
    """A decoder's name and arguments, and arguments of the reader of the task's data set of drawn pictures.

    `guessed` says what was taken for granted of the outputs, if anything was.
    """

    decode: Mapping[str, Any]
    reader: Mapping[str, Any] = field(default_factory=dict)
    guessed: str | None = None


def decoded(
    task: str, inputs: Specs, outputs: Specs, metadata: Metadata, growing: Sequence[int] = ()
) -> Decoded | None:
    """Return the decoder of a task that fits the outputs; None if their shapes do not show one.

    Free sizes of inputs count as those of runner.data.random_inputs.example, for which `outputs` must be. `growing` are
    the axes of the first output that are longer for larger inputs, where that is known.

    Raises:
        ConfigError: the network does not take pictures.
    """
    picture = inputs[0]
    if not takes_pictures(inputs):
        raise ConfigError(
            f"the network takes {shown(inputs)}, and --task {task} is for pictures:"
            " one float32 input [1 or 3, height, width]",
            "leave --task out, or say what the network takes, as in --input 3,640,640",
        )
    if task == "detection":
        return _detection([spec.shape for spec in outputs], growing)
    if task == "segmentation":
        return _segmentation(outputs[0])
    if task == "restoration":
        return _restoration(picture, outputs[0].shape)
    if task == "recognition":
        return _recognition(outputs[0].shape, metadata.get("character", "").splitlines(), growing)
    return _ocr_detection(outputs[0].shape)


def takes_pictures(inputs: Specs) -> bool:
    """Whether there is one input, which is a float32 picture, grey or in colour."""
    if len(inputs) != 1 or len(inputs[0].shape) != 3:
        return False
    return inputs[0].shape[0] in (1, 3) and inputs[0].dtype == "float32"


def shown(tensors: Specs) -> str:
    """Return the names, types and shapes of tensors as text."""
    return ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in tensors)


def preprocessing(task: str, picture: TensorSpec) -> PreprocessConfig:
    """Return a usual preprocessing for a task: pictures of any size fitted into what the network takes.

    Those to be restored keep their size: what is padded would change the pixels beside it, and so the figures. None is
    stretched to a size that is free.
    """
    channels = picture.shape[0]
    is_free = FREE in picture.shape[1:]
    padded = is_free and task != "restoration"
    fit = {"fit": "none"} if is_free and FITS[task]["fit"] == "stretch" else FITS[task]
    return PreprocessConfig(
        **fit,
        multiple=MULTIPLE if padded else 1,
        channels="rgb" if channels == 3 else "grey",
        mean=[0.0] * channels,
        std=[1.0] * channels,
    )


FITS: Mapping[str, Mapping[str, Any]] = {
    "detection": {"fit": "inside", "pad": "centre", "pad_value": GREY_PADDING},
    "segmentation": {"fit": "stretch"},
    "restoration": {"fit": "none", "pad": "corner"},
    "recognition": {"fit": "inside", "pad": "corner"},
    "ocr_detection": {"fit": "inside", "pad": "corner"},
}
"""How each task's pictures are usually fitted into what the network takes."""
DATASETS: Mapping[str, str] = {
    "detection": "synthetic_boxes",
    "segmentation": "synthetic_shapes",
    "restoration": "synthetic_textures",
    "recognition": "synthetic_words",
    "ocr_detection": "synthetic_scenes",
}
"""Each task's data set of drawn pictures."""
FIGURES: Mapping[str, str] = {
    CLASSIFICATION: "top1: 76.1",
    "detection": "map: 37.4",
    "segmentation": "miou: 75.6",
    "restoration": "psnr: 29.2",
    "recognition": "exact: 90.1",
    "ocr_detection": "hmean: 74.5",
}
"""An example of each task's published accuracy."""
LAID_OUT = ("detection", "recognition")
"""The tasks whose decoders must know what each axis of the output is."""
NAMES = (CLASSIFICATION, *FITS)
"""What --task takes."""

Shape = tuple[int, ...]
_SELECTED = ([(6,)], [(5,), ()], [(4,), (), ()])
"""The axes after that of the boxes, of the outputs of a suppression in the graph."""


def _detection(shapes: Sequence[Shape], growing: Sequence[int]) -> Decoded | None:
    trailing = [shape[1:] if shape[1:] != (1,) else () for shape in shapes]
    if trailing in _SELECTED and shapes[0][0] <= MOST_SELECTED_BOXES:
        return Decoded({"_target_": "runner.tasks.detection.Rows"})
    if len(shapes) != 1 or len(shapes[0]) != 2:
        return None
    is_known = len(growing) == 1
    boxes_first = growing[0] == 0 if is_known else shapes[0][0] > shapes[0][1]
    classes = shapes[0][1] - 5 if boxes_first else shapes[0][0] - 4
    layout = {"layout": "boxes_first", "objectness": True} if boxes_first else {}
    decode = {"_target_": "runner.tasks.detection.Flat", **layout}
    guessed = None if is_known else "layout, channels_first or boxes_first; the longer axis is taken for the boxes"
    return Decoded(decode, {"classes": classes}, guessed) if classes > 0 else None


def _segmentation(maps: TensorSpec) -> Decoded | None:
    target = "runner.tasks.segmentation.Maps"
    if not maps.is_floating and len(maps.shape) in (2, 3):
        return Decoded({"_target_": target, "source": "ids", "resize": "nearest"})
    if maps.is_floating and len(maps.shape) == 3:
        guessed = "threshold, 0.0 for logits or 0.5 where the network ends in a sigmoid; logits are taken"
        if maps.shape[0] == 1:
            return Decoded({"_target_": target, "threshold": 0.0}, {"classes": 2}, guessed)
        return Decoded({"_target_": target}, {"classes": maps.shape[0]})
    return None


def _restoration(picture: TensorSpec, shape: Shape) -> Decoded | None:
    _, height, width = example(picture).shape
    scale = shape[-1] // width
    if len(shape) != 3 or shape[0] not in (1, 3) or shape[1:] != (height * scale, width * scale):
        return None
    decode = {"_target_": "runner.tasks.restoration.Picture", "scale": scale}
    size = {} if picture.is_free else {"width": width, "height": height}
    return Decoded(decode, size)


def _recognition(shape: Shape, characters: Sequence[str], growing: Sequence[int]) -> Decoded | None:
    """Draft by the file's own alphabet `characters` if it has one; the axis that does not grow is that of the classes.

    Where it is not known which one grows, the longer axis is taken for that of the classes.
    """
    if len(shape) != 2:
        return None
    is_known = len(growing) == 1
    of_classes = 1 - growing[0] if is_known else int(shape[0] < shape[1])
    classes = shape[of_classes]
    if classes < 2:
        return None
    decode: dict[str, Any] = {"_target_": "runner.tasks.recognition.Ctc"}
    if len(characters) in (classes - 1, classes - 2):
        decode["alphabet"] = "metadata:character"
        decode |= {"space": True} if len(characters) == classes - 2 else {}
    else:
        decode["alphabet"] = _alphabet(classes - 1)
    if of_classes == 0:
        decode["layout"] = "NCT"
    guessed = None if is_known else "layout, NTC or NCT; the longer axis is taken for the classes"
    return Decoded(decode, guessed=guessed)


def _alphabet(length: int) -> str:
    return CHARACTERS[:length] + "".join(chr(ord("\u4e00") + index) for index in range(length - len(CHARACTERS)))


def _ocr_detection(shape: Shape) -> Decoded | None:
    if len(shape) == 2 or (len(shape) == 3 and shape[0] == 1):
        return Decoded({"_target_": "runner.tasks.ocr_detection.Db"})
    return None
