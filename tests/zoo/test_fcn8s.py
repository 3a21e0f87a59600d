from collections.abc import Callable

import torch

from zoo.fcn8s import Fcn8s


def test_the_parameters_are_as_many_as_published() -> None:
    # 134 million in the paper
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Fcn8s().parameters()) == 134_489_759


def test_parameters_have_the_names_of_pytorch_fcn() -> None:
    with torch.device("meta"):
        names = {name.rpartition(".")[0] for name in Fcn8s().state_dict()}
    convolutions = {f"conv{block}_{index}" for block in range(1, 6) for index in range(1, 3 if block < 3 else 4)}
    heads = {"fc6", "fc7", "score_fr", "score_pool3", "score_pool4", "upscore2", "upscore_pool4", "upscore8"}
    assert names == convolutions | heads


def test_onnx_equals_torch(onnx_equals_torch: Callable[..., None]) -> None:
    with torch.device("meta"):
        network = Fcn8s()
    # Narrow, as 4096 channels would take seconds.
    network.fc6, network.fc7 = torch.nn.Conv2d(512, 8, 7), torch.nn.Conv2d(8, 8, 1)
    network.score_fr = torch.nn.Conv2d(8, 21, 1)
    network.to_empty(device="cpu")
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.02)
    onnx_equals_torch(network, (1, 3, 9, 12), (2, 3, 11, 9))
