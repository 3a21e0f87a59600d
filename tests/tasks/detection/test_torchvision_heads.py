"""Decoders of torchvision's heads give what its own post-processing gives, for the same outputs."""

import numpy as np
import pytest
import torch
from torchvision.models.detection import FCOS, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from runner.data import Row
from runner.tasks import detection

HEIGHT, WIDTH = 128, 160
CLASSES = 6
NONE = -12.0
"""The logit of what is not there."""


class Backbone(torch.nn.Module):
    out_channels = 32


def fcos() -> FCOS:
    return FCOS(Backbone(), CLASSES)


def retina_net() -> RetinaNet:
    """With the anchors of retinanet_resnet50_fpn."""
    sizes = tuple((side, int(side * 2 ** (1 / 3)), int(side * 2 ** (2 / 3))) for side in (32, 64, 128, 256, 512))
    return RetinaNet(Backbone(), CLASSES, anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5))


@pytest.mark.parametrize(
    ("make", "decode"), [(fcos, detection.Fcos()), (retina_net, detection.RetinaNet())], ids=["FCOS", "RetinaNet"]
)
def test_boxes_are_those_of_torchvisions_post_processing(make, decode) -> None:
    torch.manual_seed(0)
    network = make().eval()
    maps = [torch.zeros(1, 32, -(-HEIGHT // stride), -(-WIDTH // stride)) for stride in (8, 16, 32, 64, 128)]
    (anchors,) = network.anchor_generator(ImageList(torch.zeros(1, 3, HEIGHT, WIDTH), [(HEIGHT, WIDTH)]), maps)
    logits, steps = 2 * torch.randn(1, len(anchors), CLASSES) - 3, torch.randn(1, len(anchors), 4)
    logits[..., 0] = NONE  # no class of the data set
    outputs = {"cls_logits": logits, "bbox_regression": steps}
    if make is fcos:
        outputs |= {"bbox_regression": 2 * steps.abs(), "bbox_ctrness": torch.randn(1, len(anchors), 1)}
    counts = [network.anchor_generator.num_anchors_per_location()[0] * each[0, 0].numel() for each in maps]
    by_level = {name: list(values.split(counts, dim=1)) for name, values in outputs.items()}
    (expected,) = network.postprocess_detections(by_level, [list(anchors.split(counts))], [(HEIGHT, WIDTH)])

    row = Row(id="a", original_size=(HEIGHT, WIDTH), scale=(1.0, 1.0), padding=(0, 0, 0, 0))
    (found,) = decode({name: values.numpy() for name, values in outputs.items()}, [row])
    assert len(found.scores) > 50
    np.testing.assert_allclose(found.scores, expected["scores"], atol=1e-6)
    np.testing.assert_allclose(found.boxes, expected["boxes"], atol=1e-3)
    np.testing.assert_array_equal(found.classes + 1, expected["labels"])
