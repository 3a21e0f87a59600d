from collections.abc import Callable

from zoo.srcnn import Srcnn


def test_the_weights_are_as_many_as_published() -> None:
    # Of 9-5-5, without biases, in the paper
    weights = [value.numel() for name, value in Srcnn().state_dict().items() if name.endswith("weight")]
    assert sum(weights) == 57_184


def test_layers_have_the_names_of_srcnn_pytorch() -> None:
    assert {name.rpartition(".")[0] for name in Srcnn().state_dict()} == {"conv1", "conv2", "conv3"}


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    onnx_equals_torch(Srcnn(), (1, 1, 8, 8), (2, 1, 7, 9))
