from collections.abc import Callable

import pytest
import torch

from zoo.segformer import Segformer


@pytest.mark.parametrize(
    ("size", "millions"), [("b0", 3.8), ("b1", 13.7), ("b2", 27.5), ("b3", 47.3), ("b4", 64.1), ("b5", 84.7)]
)
def test_the_parameters_are_as_many_as_published(size: str, millions: float) -> None:
    # Encoder and decoder, in the paper
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in Segformer(size).parameters())
    assert round(count / 1e6, 1) == millions


def test_parameters_have_the_names_of_the_authors() -> None:
    assert set(Segformer().state_dict()) >= {
        "backbone.patch_embed1.proj.weight",
        "backbone.block1.1.attn.sr.weight",
        "backbone.block4.0.mlp.dwconv.dwconv.weight",
        "backbone.norm4.weight",
        "decode_head.linear_c4.proj.weight",
        "decode_head.linear_fuse.bn.running_var",
        "decode_head.linear_pred.bias",
    }


def test_logits_have_the_pictures_size() -> None:
    with torch.no_grad():
        assert Segformer(classes=5).eval()(torch.zeros(1, 3, 64, 96)).shape == (1, 5, 64, 96)


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="size is b6, not one of b0, b1"):
        Segformer("b6")


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Segformer(), (1, 3, 64, 64), (2, 3, 32, 96))
