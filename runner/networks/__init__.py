"""PyTorch networks: building, loading checkpoints or random weights, and downloading weights."""

from runner.networks.checkpoints import CheckpointLayout
from runner.networks.downloads import download
from runner.networks.network import NetworkSpec, build_network, construct, named_outputs
from runner.networks.random_weights import randomise
