from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from runner.config.callables import Target
from runner.core import FREE, TensorSpec
from runner.networks import CheckpointLayout, NetworkSpec, build_network
from runner.stages.random_weights import RandomWeightsSpec, random_weights

NETWORK = NetworkSpec(
    Target("zoo.dqn.NatureDQN"),
    CheckpointLayout(unwrap=(), rename={}, drop_background=None, settings=None),
    (TensorSpec("input", "float32", (4, 84, 84)),),
)


def test_random_weights_are_a_checkpoint_of_the_network(tmp_path: Path) -> None:
    found = random_weights(RandomWeightsSpec(NETWORK, 0), tmp_path)
    assert (found.path.name, found.origin) == ("weights.safetensors", "random")
    assert load_file(found.path).keys() == build_network(NETWORK, found).state_dict().keys()


def test_equal_seeds_give_equal_files(tmp_path: Path) -> None:
    hashes = []
    for seed in (1, 1, 2):
        hashes.append(random_weights(RandomWeightsSpec(NETWORK, seed), tmp_path).sha256)
    assert hashes[0] == hashes[1] != hashes[2]


def test_network_whose_inputs_have_free_sizes_gets_random_weights(tmp_path: Path) -> None:
    free = replace(NETWORK, target=Target("zoo.espcn.Espcn"), inputs=(TensorSpec("luma", "float32", (1, FREE, FREE)),))
    found = random_weights(RandomWeightsSpec(free, 0), tmp_path)
    assert load_file(found.path).keys() == build_network(free, found).state_dict().keys()
