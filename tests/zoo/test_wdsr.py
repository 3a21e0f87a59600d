from collections.abc import Callable

import pytest
import torch

from zoo.wdsr import Wdsr, fold_weight_norms


def test_weight_norms_fold_into_the_weights_that_they_stand_for() -> None:
    conv = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv2d(3, 4, 3))
    length, direction = conv.parametrizations.weight.original0, conv.parametrizations.weight.original1
    with torch.no_grad():
        length.mul_(2)
        published = {"head.0.weight_g": length, "head.0.weight_v": direction, "head.0.bias": conv.bias}
        folded = fold_weight_norms(published, torch.nn.Identity())
        assert set(folded) == {"head.0.weight", "head.0.bias"}
        torch.testing.assert_close(folded["head.0.weight"], conv.weight)


def test_layers_have_the_names_of_the_authors() -> None:
    names = {name.rpartition(".")[0] for name in Wdsr(blocks=1).state_dict()}
    assert names == {"head.0", "body.0.body.0", "body.0.body.2", "body.0.body.3", "tail.0", "skip.0"}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pictures_grow_by_the_scale(scale: int) -> None:
    with torch.no_grad():
        assert Wdsr(scale, blocks=1).eval()(torch.zeros(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Wdsr(blocks=2), (1, 3, 8, 8), (2, 3, 7, 9))
