from collections.abc import Callable

import torch

from zoo.fastscnn import FastScnn


def test_parameters_have_the_names_of_fast_scnn_pytorch() -> None:
    assert set(FastScnn().state_dict()) >= {
        "learning_to_downsample.dsconv2.conv.4.weight",
        "global_feature_extractor.bottleneck3.2.block.3.running_var",
        "global_feature_extractor.ppm.conv4.conv.0.weight",
        "feature_fusion.conv_higher_res.0.bias",
        "classifier.conv.1.bias",
    }


def test_logits_have_the_pictures_size() -> None:
    with torch.no_grad():
        assert FastScnn(5).eval()(torch.zeros(1, 3, 64, 32)).shape == (1, 5, 64, 32)


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(FastScnn(), (1, 3, 192, 64), (2, 3, 192, 64))
