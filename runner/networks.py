"""PyTorch networks from a specification and a checkpoint."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runner import checkpoints, random_inputs
from runner.artifacts import TensorSpec, Weights
from runner.errors import ConfigError, ExportError
from runner.targets import Target, call

if TYPE_CHECKING:
    import torch
    from torch.utils.hooks import RemovableHandle

_CALIBRATION_SAMPLES = 8
_TILES = {1: 1.0, 3: 0.7, 9: 0.5, 27: 0.35}
"""Tiles across a picture of the calibration, and the most that they make of it: coarse structure outweighs fine, as in
photographs. Where it does not, deep networks answer photographs with numbers beyond float32's precision."""
_NOISE_SHARE = 0.25
_CONSTANTS_JITTER = 0.25
"""Spread of random parameters that a fresh network has all at one number: scales at 0 or 1, biases."""
_STATISTICS_JITTER = 0.02
"""Relative spread of their statistics: enough to tell a mistaken one, too little to add up over a hundred layers."""
_LEAST_VARIANCE = 0.1
"""Of a channel, relative to the mean of its layer: one that was still on the random inputs may wake up on others."""
_HEAD_DEVIATION = 2.0
"""How far the outputs of random networks spread between inputs, about as logits of trained ones do."""


@dataclass(frozen=True)
class CheckpointLayout:
    """How the parameter names of a published checkpoint map to the network's (runner.schema.CheckpointConfig)."""

    unwrap: tuple[str, ...]
    rename: dict[str, str]
    drop_background: str | None
    settings: Target | None
    adapt: Target | None = None


@dataclass(frozen=True)
class NetworkSpec:
    target: Target
    layout: CheckpointLayout
    inputs: tuple[TensorSpec, ...]


_OWN_NAMES = CheckpointLayout(unwrap=(), rename={}, drop_background=None, settings=None)
"""The layout of the weights that `randomise` makes."""


def build(spec: NetworkSpec, weights: Weights) -> torch.nn.Module:
    """The network with its weights: float32, in evaluation mode, on the CPU.

    Raises:
        ConfigError: the network cannot be made from its target and arguments.
        CheckpointError: the checkpoint cannot be read, or belongs to another network.
    """
    layout = _OWN_NAMES if weights.origin == "random" else spec.layout
    state_dict = checkpoints.state_dict_for(checkpoints.read_state_dict(weights.path), layout)
    settings = {} if layout.settings is None else call(layout.settings, state_dict)
    network = _construct(Target(spec.target.name, {**spec.target.arguments, **settings}))
    if layout.adapt is not None:
        state_dict = call(layout.adapt, state_dict, network)
    checkpoints.load(network, state_dict, layout, weights.path)
    return network


def randomise(spec: NetworkSpec, seed: int) -> torch.nn.Module:
    """The network with random weights, equal for equal seeds: float32, in evaluation mode, on the CPU.

    Parameters that start as one number, such as scales of residual branches at 0, are spread, lest a mistake behind
    them stay hidden; batch norms get statistics, measured on random inputs; the output layer spreads the outputs
    around 0, where those of a fresh network would be nearly the same for every input.

    Raises:
        ConfigError: the network cannot be made from its target and arguments.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = _construct(spec.target)
        norms = [module for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
        inputs = [_random_input(tensor) for tensor in spec.inputs]
        with torch.no_grad():
            _spread_constants(network)
            try:
                if norms:
                    _randomise_norms(network, norms, inputs)
                _spread_outputs(network, inputs)
            except (AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
                raise ConfigError(
                    f"{spec.target.name} cannot take inputs of shapes "
                    f"{', '.join(str(list(tensor.shape)) for tensor in spec.inputs)}: {error}",
                    "correct model.inputs, or the arguments in model.network",
                ) from error
    return network


def named_outputs(result: Any, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """What a network returned, by output name: a tensor, tensors in order, or a dict with these names among its keys.

    Raises:
        ExportError: another number of tensors, a name that is not there, or something that is no tensor.
    """
    import torch

    if isinstance(result, Mapping):
        missing = [name for name in names if name not in result]
        if missing:
            raise ExportError(
                f"the network's outputs have no {', '.join(missing)}", f"choose model.outputs from {list(result)}"
            )
        found = [result[name] for name in names]
    else:
        found = list(result) if isinstance(result, (tuple, list)) else [result]
    if len(found) != len(names) or not all(isinstance(value, torch.Tensor) for value in found):
        kinds = ", ".join(
            str(list(value.shape)) if isinstance(value, torch.Tensor) else type(value).__name__ for value in found
        )
        raise ExportError(
            f"the network returns {len(found)} values ({kinds}), model.outputs names {len(names)}: {list(names)}",
            "give each tensor that the network returns one name in model.outputs",
        )
    return dict(zip(names, found, strict=True))


def _construct(target: Target) -> torch.nn.Module:
    import torch

    try:
        network = call(target)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{target.name} refuses {target.arguments}: {error}", "correct the arguments in model.network"
        ) from error
    if not isinstance(network, torch.nn.Module):
        raise ConfigError(
            f"{target.name} made a {type(network).__name__}, not a torch.nn.Module",
            "name the network's class, or a function that returns one, in model.network._target_",
        )
    return network.float().eval()


def _random_input(spec: TensorSpec) -> torch.Tensor:
    """A batch of unit variance: a quarter of it white noise, the rest with areas and edges as pictures have them.

    Whole numbers and truths are as runner.random_inputs makes them.
    """
    import torch

    if not getattr(torch, spec.dtype).is_floating_point:
        generator = np.random.default_rng(0)
        return torch.from_numpy(random_inputs.values(generator, spec.dtype, (_CALIBRATION_SAMPLES, *spec.shape)))
    batch = torch.randn(_CALIBRATION_SAMPLES, *spec.shape)
    if len(spec.shape) == 3 and min(spec.shape[1:]) > 1:
        for index in range(_CALIBRATION_SAMPLES // 4, _CALIBRATION_SAMPLES):
            batch[index] = _picture(batch[index])
    return batch.to(getattr(torch, spec.dtype))


def _picture(noise: torch.Tensor) -> torch.Tensor:
    """Noise [C, H, W], and tiles of random colours over it: the larger, the stronger, in shares of this picture's."""
    import torch

    shares = torch.rand(len(_TILES) + 1) * torch.tensor([*_TILES.values(), _NOISE_SHARE])
    shares /= shares.norm()
    picture = shares[-1] * noise
    for share, across in zip(shares, _TILES, strict=False):
        colours = torch.randn(1, noise.shape[0], across, across)
        picture += share * torch.nn.functional.interpolate(colours, size=noise.shape[1:])[0]
    return picture


def _spread_constants(network: torch.nn.Module) -> None:
    """Spread parameters whose elements are all one number: around 1 where that is large, else around 0."""
    import torch

    for parameter in network.parameters():
        first = parameter.flatten()[:1]
        if parameter.numel() < 2 or not bool((parameter == first).all()):
            continue
        if float(first.abs()) > 0.5:
            parameter.mul_(1 + _CONSTANTS_JITTER * torch.randn_like(parameter).clamp(-2, 2))
        else:
            summed = parameter[0].numel() if parameter.dim() > 1 else 1
            parameter.add_(_CONSTANTS_JITTER / summed**0.5 * torch.randn_like(parameter))


def _randomise_norms(
    network: torch.nn.Module, norms: list[torch.nn.modules.batchnorm._BatchNorm], inputs: list[torch.Tensor]
) -> None:
    import torch

    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average, so that one batch sets the statistics
        norm.train()
    network(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_var.clamp_(min=_LEAST_VARIANCE * float(norm.running_var.mean()))
            deviation = norm.running_var.sqrt()
            norm.running_mean.add_(_STATISTICS_JITTER * deviation * torch.randn_like(deviation))
            norm.running_var.mul_(1 + _STATISTICS_JITTER * torch.randn_like(deviation))


def _spread_outputs(network: torch.nn.Module, inputs: list[torch.Tensor]) -> None:
    """Shift and scale the last linear layer or convolution: mean 0 per channel, a fixed deviation over all."""
    import torch

    calls: deque[tuple[Any, torch.Tensor]] = deque(maxlen=1)  # all of them would hold every activation
    kinds = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    hooks: list[RemovableHandle] = [
        module.register_forward_hook(lambda module, _, output: calls.append((module, output)))
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    network(*inputs)
    for hook in hooks:
        hook.remove()
    if not calls:
        return
    head, output = calls[0]
    others = [axis for axis in range(output.dim()) if axis != (output.dim() - 1 if isinstance(head, kinds[0]) else 1)]
    mean = output.mean(others)
    deviation = output.std(others).mean()
    if head.bias is None or not deviation > 0:
        return
    factor = _HEAD_DEVIATION / deviation
    head.weight.mul_(factor)
    head.bias.sub_(mean).mul_(factor)
