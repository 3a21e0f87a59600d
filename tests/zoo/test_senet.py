import torch

from zoo import senet


def test_linear_layers_of_a_squeeze_become_convolutions_and_the_classifier_stays() -> None:
    given = {
        "layer1.0.fc1.weight": torch.arange(6.0).reshape(2, 3),
        "layer1.0.fc1.bias": torch.zeros(2),
        "layer4.10.fc2.weight": torch.ones(3, 2),
        "fc.weight": torch.ones(5, 3),
    }
    adapted = senet.squeeze_as_convolutions(given, torch.nn.Identity())
    assert {name: list(value.shape) for name, value in adapted.items()} == {
        "layer1.0.se.fc1.weight": [2, 3, 1, 1],
        "layer1.0.se.fc1.bias": [2],
        "layer4.10.se.fc2.weight": [3, 2, 1, 1],
        "fc.weight": [5, 3],
    }
    assert adapted["layer1.0.se.fc1.weight"].flatten().tolist() == [0, 1, 2, 3, 4, 5]
