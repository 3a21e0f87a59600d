"""The decoders of torchvision's detectors against torchvision itself: anchors, box coder and selection."""

import numpy as np
import pytest
import torch
from torchvision import models

from runner.config.callables import Target
from runner.config.libraries.torchvision_detectors import DETECTORS
from runner.config.targets import bind
from runner.data import Row
from runner.networks._raw_heads import raw_heads
from runner.tasks.classification.synthetic import draw_picture
from runner.tasks.detection import Boxes

CLASSES = 11
SMALL = {"min_size": 128, "max_size": 200}
"""For a picture of 128x200, which torchvision pads to 128x224."""


def spread(network: torch.nn.Module, batch: torch.Tensor) -> None:
    """Scale the last layers so that there are scores and shifts of all sizes, and none of background but of SSD."""
    head = network.head
    logits, boxes, *_ = raw_heads(network)(batch)
    for branch, output, deviation in (head.classification_head, logits, 1.5), (head.regression_head, boxes, 0.5):
        for name, parameter in branch.named_parameters():
            if parameter.shape[0] % output.shape[2] == 0 and parameter.shape[0] < 128:  # a last layer, not the trunk
                parameter.data.mul_(deviation / output.std() if name.endswith("weight") else 0)
    if hasattr(head.classification_head, "cls_logits"):
        head.classification_head.cls_logits.bias.data[::CLASSES] = -100


@pytest.mark.parametrize(
    "arch", [pytest.param(arch, marks=pytest.mark.slow) if arch == "ssd300_vgg16" else arch for arch in DETECTORS]
)
def test_decoded_heads_are_what_torchvisions_whole_detector_finds(arch) -> None:
    torch.manual_seed(0)
    settings = {} if arch.startswith("ssd") else SMALL
    network = models.get_model(arch, weights=None, weights_backbone=None, num_classes=CLASSES, **settings).eval()
    size = DETECTORS[arch]["input_size"] if arch.startswith("ssd") else (128, 200)
    picture = torch.from_numpy(np.array(draw_picture(1, 0, size[1], size[0]))).permute(2, 0, 1) / 255
    decode = bind(Target(DETECTORS[arch]["decode"]["_target_"], arguments(arch, network)), positional=2)
    with torch.inference_mode():
        batch = network.transform([picture])[0].tensors
        spread(network, batch)
        (wanted,) = network([picture])
        heads = raw_heads(network)(batch)
    padding = (0, 0, batch.shape[2] - size[0], batch.shape[3] - size[1])
    row = Row(id="0", original_size=size, scale=(1.0, 1.0), padding=padding)
    (found,) = decode({str(index): head.numpy() for index, head in enumerate(heads)}, [row])
    expected = Boxes(*(wanted[name].numpy() for name in ("boxes", "scores", "labels")))
    assert len(found.boxes) == len(expected.boxes) > 50
    ours, theirs = in_order(found), in_order(expected)
    np.testing.assert_array_equal(found.classes[ours], expected.classes[theirs] - 1)
    np.testing.assert_allclose(found.scores[ours], expected.scores[theirs], atol=1e-5)
    np.testing.assert_allclose(found.boxes[ours], expected.boxes[theirs], atol=1e-3)


def in_order(boxes: Boxes) -> np.ndarray:
    """By class and corner, since rounding decides the order of nearly equal scores."""
    corners = boxes.boxes.round(1)
    return np.lexsort((corners[:, 2], corners[:, 1], corners[:, 0], boxes.classes))


def arguments(arch: str, network: torch.nn.Module) -> dict:
    """The decoder's, with as many boxes kept as torchvision's detector keeps."""
    given = {name: value for name, value in DETECTORS[arch]["decode"].items() if name != "_target_"}
    assert given["score"] == network.score_thresh
    assert given["iou"] == network.nms_thresh
    assert given["keep"] == network.detections_per_img
    assert given.get("candidates_per_class", 400) == network.topk_candidates or not arch.startswith("ssd")
    return given
