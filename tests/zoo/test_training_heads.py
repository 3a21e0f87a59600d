import torch

from zoo.training_heads import without


def test_layers_of_the_prefixes_are_left_out_and_no_others() -> None:
    names = ("conv_out.weight", "conv_out16.conv.weight", "conv_out16.conv.bias", "aux.weight")
    state_dict = {name: torch.zeros(1) for name in names}
    kept = without(state_dict, torch.nn.Identity(), prefixes=["conv_out16", "aux"])
    assert list(kept) == ["conv_out.weight"]
