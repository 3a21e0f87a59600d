import torch

from zoo.dqn import NatureDQN


def test_parameters_have_the_names_and_shapes_of_deeprl() -> None:
    shapes = {name: list(tensor.shape) for name, tensor in NatureDQN().state_dict().items()}
    assert shapes == {
        "body.conv1.weight": [32, 4, 8, 8],
        "body.conv1.bias": [32],
        "body.conv2.weight": [64, 32, 4, 4],
        "body.conv2.bias": [64],
        "body.conv3.weight": [64, 64, 3, 3],
        "body.conv3.bias": [64],
        "body.fc4.weight": [512, 3136],
        "body.fc4.bias": [512],
        "fc_head.weight": [4, 512],
        "fc_head.bias": [4],
    }


def test_one_q_value_per_action() -> None:
    assert NatureDQN(actions=6)(torch.zeros(2, 4, 84, 84)).shape == (2, 6)


def test_the_head_is_linear_so_q_values_can_be_negative() -> None:
    network = NatureDQN()
    with torch.no_grad():
        network.fc_head.weight.zero_()
        network.fc_head.bias.fill_(-3.0)
        assert network(torch.zeros(1, 4, 84, 84)).tolist() == [[-3.0] * 4]
