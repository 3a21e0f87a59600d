from collections.abc import Callable

import torch

from zoo.lprnet import Lprnet, _MaxPool


def test_parameters_have_the_names_of_the_published_checkpoint() -> None:
    assert set(Lprnet().state_dict()) >= {
        "backbone.0.weight",
        "backbone.4.block.6.weight",
        "backbone.16.weight",
        "backbone.21.running_var",
        "container.0.weight",
    }


def test_each_position_has_a_score_for_each_class() -> None:
    with torch.no_grad():
        assert Lprnet(classes=37).eval()(torch.zeros(2, 3, 24, 94)).shape == (2, 37, 18)


def test_channels_are_pooled_as_by_a_pool_in_three_dimensions() -> None:
    features = torch.randn(2, 8, 7, 9)
    expected = torch.nn.MaxPool3d((1, 3, 3), stride=(4, 1, 2))(features)
    assert torch.equal(_MaxPool(channel_stride=4, column_stride=2)(features), expected)


def test_scores_depend_on_the_other_plates_of_the_batch() -> None:
    network = Lprnet().eval()
    plates = torch.rand(2, 3, 24, 94) * torch.tensor([1.0, 0.1])[:, None, None, None]
    with torch.no_grad():
        assert not torch.allclose(network(plates)[:1], network(plates[:1]), rtol=1e-2)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Lprnet(), (1, 3, 24, 94), (3, 3, 24, 94))
