"""Networks from specifications: with the weights of a file, and with random ones that tell inputs apart."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from runner.config import permissions
from runner.config.callables import Target
from runner.core import CheckpointError, ConfigError, ExportError, TensorSpec, Weights
from runner.networks import CheckpointLayout, NetworkSpec, build_network, named_outputs, randomise
from runner.tasks.classification.synthetic import draw_picture

PLAIN = CheckpointLayout(unwrap=(), rename={}, drop_background=None, settings=None)
IMAGE = TensorSpec("image", "float32", (3, 32, 32))
RESNET = NetworkSpec(Target("torchvision.models.resnet18", {"num_classes": 10}), PLAIN, (IMAGE,))
DQN = NetworkSpec(Target("zoo.dqn.NatureDQN"), PLAIN, (TensorSpec("input", "float32", (4, 84, 84)),))
NOISE = TensorSpec("noise", "float32", (100, 1, 1))


@pytest.fixture
def builtins_allowed() -> Iterator[None]:
    permissions.allow(["builtins"])
    yield
    permissions.allow([])


def dcgan(image_size: int, layout: CheckpointLayout = PLAIN) -> NetworkSpec:
    return NetworkSpec(Target("zoo.dcgan.Generator", {"image_size": image_size}), layout, (NOISE,))


def batch(spec: NetworkSpec, count: int = 8) -> Tensor:
    return torch.randn(count, *spec.inputs[0].shape, generator=torch.Generator().manual_seed(5))


def outputs(network: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return network(inputs).flatten(1)


@pytest.mark.parametrize("spec", [RESNET, DQN, dcgan(32)], ids=["resnet", "dqn", "dcgan"])
def test_random_weights_are_equal_for_equal_seeds(spec: NetworkSpec) -> None:
    first, second = randomise(spec, 3).state_dict(), randomise(spec, 3).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_random_weights_differ_between_seeds() -> None:
    inputs = batch(RESNET)
    assert not torch.allclose(outputs(randomise(RESNET, 0), inputs), outputs(randomise(RESNET, 1), inputs), atol=0.1)


def test_random_weights_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    randomise(RESNET, 0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("spec", [RESNET, DQN, dcgan(32)], ids=["resnet", "dqn", "dcgan"])
def test_random_networks_tell_inputs_apart(spec: NetworkSpec) -> None:
    answers = outputs(randomise(spec, 0), batch(spec))
    assert answers.isfinite().all()
    assert 0.01 < answers.std(0).mean() < 10


def test_random_classifiers_choose_several_classes() -> None:
    assert outputs(randomise(RESNET, 0), batch(RESNET)).argmax(1).unique().numel() > 1


def test_random_batch_norms_have_statistics_of_their_own() -> None:
    norm = randomise(RESNET, 0).bn1
    for tensor, default in ((norm.running_mean, 0), (norm.running_var, 1), (norm.weight, 1), (norm.bias, 0)):
        assert (tensor != default).all()


def test_random_batch_norms_keep_an_epsilon_of_0() -> None:
    spec = NetworkSpec(Target("torch.nn.BatchNorm2d", {"num_features": 3, "eps": 0.0}), PLAIN, (IMAGE,))
    norm = randomise(spec, seed=0)
    assert norm.eps == 0.0 and norm.momentum == 0.1
    assert outputs(norm, batch(spec)).isfinite().all()


def test_branches_that_start_at_nothing_take_part_in_random_networks() -> None:
    spec = NetworkSpec(Target("timm.create_model", {"model_name": "test_resnet"}), PLAIN, (IMAGE,))
    network = randomise(spec, 0)
    scales = [module.bn2.weight for module in network.modules() if hasattr(module, "bn2")]
    assert scales and all(scale.std() > 0.1 for scale in scales)  # 0 in a fresh one, which hides the branch before it


@pytest.mark.parametrize(("size", "samples"), [((640, 640), 8), ((1024, 2048), 2)])
def test_random_networks_for_large_pictures_are_calibrated_with_fewer(size: tuple[int, int], samples: int) -> None:
    point = Target("torch.nn.Conv2d", {"in_channels": 3, "out_channels": 1, "kernel_size": 1, "stride": 64})
    counts = set()
    hook = nn.modules.module.register_module_forward_pre_hook(lambda _, inputs: counts.add(len(inputs[0])))
    randomise(NetworkSpec(point, PLAIN, (TensorSpec("image", "float32", (3, *size)),)), seed=0)
    hook.remove()
    assert counts == {samples}


def test_random_networks_answer_pictures_in_numbers_that_float32_can_compare() -> None:
    spec = NetworkSpec(
        Target("torchvision.models.mobilenet_v3_small"), PLAIN, (TensorSpec("i", "float32", (3, 224, 224)),)
    )
    pictures = [np.asarray(draw_picture(0, index, 224, 224), np.float32) / 64 - 2 for index in range(4)]
    answers = outputs(randomise(spec, 0), torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2)))
    assert answers.std(0).mean() < 30  # calibrated on noise it is 10 times that, on deeper networks thousands of times


def test_random_networks_are_in_evaluation_mode() -> None:
    assert not any(module.training for module in randomise(RESNET, 0).modules())


def test_a_network_comes_back_from_its_random_weights(tmp_path: Path) -> None:
    network = randomise(RESNET, 0)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    built = build_network(RESNET, Weights(tmp_path / "w.safetensors", "", "random"))
    inputs = batch(RESNET)
    assert torch.equal(outputs(built, inputs), outputs(network, inputs))
    assert not any(module.training for module in built.modules())


def test_the_published_layout_does_not_touch_random_weights(tmp_path: Path) -> None:
    layout = CheckpointLayout(unwrap=(), rename={"fc": "head"}, drop_background="fc", settings=None)
    save_file(randomise(RESNET, 0).state_dict(), tmp_path / "w.safetensors")
    build_network(NetworkSpec(RESNET.target, layout, RESNET.inputs), Weights(tmp_path / "w.safetensors", "", "random"))


def test_the_checkpoint_fixes_arguments(tmp_path: Path) -> None:
    layout = CheckpointLayout(
        unwrap=("G",), rename={}, drop_background=None, settings=Target("zoo.dcgan.checkpoint_settings")
    )
    state = {f"module.{name}": tensor for name, tensor in randomise(dcgan(28), 0).state_dict().items()}
    torch.save({"G": state}, tmp_path / "w.pth")
    network = build_network(dcgan(32, layout), Weights(tmp_path / "w.pth", "", "file"))
    assert outputs(network, torch.zeros(1, 100, 1, 1)).shape == (1, 28 * 28)


def test_another_networks_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save(randomise(DQN, 0).state_dict(), tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="another network"):
        build_network(RESNET, Weights(tmp_path / "w.pth", "", "file"))


@pytest.mark.parametrize(
    ("spec", "content", "told"),
    [
        (RESNET, {"epoch": 3}, "the checkpoint holds no parameters"),
        (
            dcgan(
                28,
                CheckpointLayout(
                    unwrap=(), rename={}, drop_background=None, settings=Target("zoo.dcgan.checkpoint_settings")
                ),
            ),
            {"other": torch.ones(1)},
            "this is no checkpoint of zoo.dcgan.Generator",
        ),
    ],
)
def test_what_is_wrong_with_a_checkpoint_names_its_file(spec, content, told, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError) as refusal:
        build_network(spec, Weights(tmp_path / "w.pth", "", "file"))
    assert refusal.value.message.startswith(f"{tmp_path / 'w.pth'}: {told}")


def test_an_argument_that_the_network_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="acts"):
        randomise(NetworkSpec(Target("zoo.dqn.NatureDQN", {"acts": 4}), PLAIN, DQN.inputs), 0)


def test_a_value_that_the_network_refuses_is_told() -> None:
    target = Target("timm.create_model", {"model_name": "no_such_model"})
    with pytest.raises(ConfigError, match=r"no_such_model.*Unknown model"):
        randomise(NetworkSpec(target, PLAIN, (IMAGE,)), 0)


def test_something_that_is_no_network_is_refused(builtins_allowed: None) -> None:
    with pytest.raises(ConfigError, match="made a dict"):
        randomise(NetworkSpec(Target("builtins.dict"), PLAIN, (IMAGE,)), 0)


def test_inputs_that_the_network_cannot_take_are_told() -> None:
    spec = NetworkSpec(RESNET.target, PLAIN, (TensorSpec("image", "float32", (5, 32, 32)),))
    with pytest.raises(ConfigError, match=r"cannot take inputs of shapes \[5, 32, 32\]"):
        randomise(spec, 0)


def test_a_tensor_is_the_one_output() -> None:
    assert named_outputs(torch.ones(1), ["a"]) == {"a": torch.ones(1)}


@pytest.mark.parametrize("kind", [tuple, list])
def test_several_tensors_are_named_in_order(kind: type) -> None:
    found = named_outputs(kind([torch.zeros(1), torch.ones(1)]), ["a", "b"])
    assert [found["a"].item(), found["b"].item()] == [0, 1]


def test_a_dict_is_read_by_name() -> None:
    result = {"b": torch.ones(1), "extra": torch.ones(2), "a": torch.zeros(1)}
    found = named_outputs(result, ["a", "b"])
    assert list(found) == ["a", "b"] and found["b"].item() == 1


@pytest.mark.parametrize("result", [(torch.ones(1),), {"a": torch.ones(1)}, (torch.ones(1), None)])
def test_other_outputs_than_declared_are_refused(result: object) -> None:
    with pytest.raises(ExportError, match=r"outputs"):
        named_outputs(result, ["a", "b"])
