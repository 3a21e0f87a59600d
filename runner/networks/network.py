"""Building PyTorch networks from a specification and a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runner.config import hooks
from runner.config.callables import Target
from runner.config.targets import call, locate
from runner.core import ConfigError, ExportError, RunnerError, TensorSpec, Weights
from runner.core.lazy import torch
from runner.networks import checkpoints
from runner.networks.checkpoints import CheckpointLayout


@dataclass(frozen=True)
class NetworkSpec:
    """A network's callable, the layout of its published checkpoint, and its inputs."""

    target: Target
    layout: CheckpointLayout
    inputs: tuple[TensorSpec, ...]


_OWN_NAMES = CheckpointLayout(unwrap=(), rename={}, drop_background=None, settings=None)
"""The layout of random weights, which already have the network's names."""


def build_network(spec: NetworkSpec, weights: Weights) -> torch.nn.Module:
    """Return the network with its weights: float32, in evaluation mode, on the CPU.

    Raises:
        ConfigError: the network cannot be made from its target and arguments.
        CheckpointError: the checkpoint cannot be read, or belongs to another network.
    """
    layout = _OWN_NAMES if weights.origin == "random" else spec.layout
    with checkpoints.named_in_errors(weights.path):
        state_dict = checkpoints.state_dict_for(checkpoints.read_state_dict(weights.path), layout)
        settings = {} if layout.settings is None else _settings(layout.settings, state_dict)
    network = construct(replace(spec.target, arguments={**spec.target.arguments, **settings}))
    with checkpoints.named_in_errors(weights.path):
        if layout.adapt is not None:
            state_dict = _adapted(layout.adapt, state_dict, network)
        checkpoints.load(network, state_dict, layout, weights.path)
    return network


def _settings(target: Target, state_dict: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Return the arguments of the network that a callable reads from its checkpoint."""
    made, wanted = call(target, state_dict), "the network's arguments by name"
    settings: dict[Any, Any] = hooks.checked(made, dict, locate(target))
    if not all(isinstance(name, str) for name in settings):
        raise hooks.wrong_result(locate(target), f"the names {list(settings)}", wanted)
    return dict(settings)


def _adapted(target: Target, state_dict: dict[str, torch.Tensor], network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the state dict as a callable changes it."""
    made, wanted = call(target, state_dict, network), "a dict of tensors by name"
    adapted: dict[Any, Any] = hooks.checked(made, dict, locate(target))
    for name, value in adapted.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise hooks.wrong_result(locate(target), f"{name!r}: a {type(value).__name__}", wanted)
    return dict(adapted)


def named_outputs(result: Any, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Map a network's result (a tensor, several in order, or a dict that contains the names) to output names.

    Raises:
        ExportError: the number of tensors differs, a name is missing, or a value is not a tensor.
    """
    if isinstance(result, Mapping):
        missing = [name for name in names if name not in result]
        if missing:
            raise ExportError(
                f"the network's outputs have no {', '.join(missing)}", f"choose model.outputs from {list(result)}"
            )
        values = [result[name] for name in names]
    else:
        values = list(result) if isinstance(result, (tuple, list)) else [result]
    if len(values) != len(names) or not all(isinstance(value, torch.Tensor) for value in values):
        kinds = ", ".join(
            str(list(value.shape)) if isinstance(value, torch.Tensor) else type(value).__name__ for value in values
        )
        raise ExportError(
            f"the network returns {len(values)} values ({kinds}), model.outputs names {len(names)}: {list(names)}",
            "give each tensor that the network returns one name in model.outputs",
        )
    return dict(zip(names, values, strict=True))


def construct(target: Target) -> torch.nn.Module:
    """Return the network of a target, without its weights: float32, in evaluation mode.

    Raises:
        ConfigError: the target rejects its arguments, or does not return a network whose parameters have values.
    """
    try:
        network = call(target)
    except (RunnerError, MemoryError):
        raise
    except Exception as error:  # a network's code may raise anything
        raise ConfigError(
            f"{target} cannot be made: {hooks.told(error)}", "correct the arguments in model.network"
        ) from error
    if not isinstance(network, torch.nn.Module):
        raise ConfigError(
            f"{target.name} made a {type(network).__name__}, not a torch.nn.Module",
            "name the network's class, or a function that returns one, in model.network._target_",
        )
    if torch.get_default_device().type == "meta":  # the caller wants shapes alone
        return network.float().eval()
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if torch.nn.parameter.is_lazy(tensor) or tensor.is_meta or tensor.layout is not torch.strided:
            raise ConfigError(
                f"{target} has no values in {name}: it is lazy, sparse or on the device `meta`",
                "give the sizes of its layers, and leave out device",
            )
    return network.float().eval()
