from collections.abc import Callable

import torch

from zoo.espnet import Espnet


def test_parameters_have_the_names_of_the_published_checkpoint() -> None:
    assert set(Espnet().state_dict()) >= {
        "encoder.level1.conv.weight",
        "encoder.level2_0.d16.conv.weight",
        "encoder.level3.7.bn.act.weight",
        "level3_C.conv.weight",
        "br.weight",
        "combine_l2_l3.1.c1.conv.weight",
        "up_l2.1.act.weight",
        "classifier.weight",
    }


def test_the_pyramids_are_as_many_as_asked_for() -> None:
    encoder = Espnet(p=1, q=3).encoder
    assert (len(encoder.level2), len(encoder.level3)) == (1, 3)


def test_logits_have_the_pictures_size() -> None:
    with torch.no_grad():
        assert Espnet(classes=20).eval()(torch.zeros(2, 3, 24, 40)).shape == (2, 20, 24, 40)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Espnet(), (1, 3, 32, 32), (2, 3, 24, 40))
