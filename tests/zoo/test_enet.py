from collections.abc import Callable

import torch

from zoo.enet import Enet, _max_pool, _max_unpool


def test_parameters_have_the_names_of_pytorch_enet() -> None:
    assert set(Enet(12).state_dict()) >= {
        "initial_block.main_branch.weight",
        "downsample1_0.ext_conv1.0.weight",
        "regular1_4.ext_conv3.1.weight",
        "asymmetric2_3.ext_conv2.3.weight",
        "dilated2_8.ext_conv2.0.weight",
        "regular3_0.ext_conv1.0.weight",
        "dilated3_7.out_activation.weight",
        "upsample4_0.ext_tconv1_bnorm.weight",
        "regular5_1.ext_conv2.0.weight",
        "transposed_conv.weight",
    }


def test_unpooling_restores_the_places_of_the_largest_pixels_also_among_equal_ones() -> None:
    features = torch.randint(0, 3, (2, 3, 8, 6)).float()
    pooled, indices = torch.nn.functional.max_pool2d(features, 2, return_indices=True)
    largest, winners = _max_pool(features)
    assert torch.equal(largest, pooled)
    values = torch.randn(pooled.shape)
    assert torch.equal(_max_unpool(values, winners), torch.nn.functional.max_unpool2d(values, indices, 2))


def test_logits_have_the_pictures_size() -> None:
    with torch.no_grad():
        assert Enet(5).eval()(torch.zeros(2, 3, 24, 40)).shape == (2, 5, 24, 40)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Enet(12), (1, 3, 32, 32), (2, 3, 24, 40))
