"""Random weights that behave like trained ones: outputs differ between inputs, activations neither grow nor vanish."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runner.config import hooks
from runner.core import ConfigError, RunnerError, TensorSpec
from runner.core.lazy import np, torch
from runner.data import random_inputs
from runner.networks.network import NetworkSpec, construct

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

_CALIBRATION_SAMPLES = 8
_LEAST_CALIBRATION_SAMPLES = 2
_CALIBRATION_VALUES = 10_000_000
"""Maximum values of all samples together: of pictures larger than 640x640 fewer samples are taken, to bound memory."""
_TILES = {1: 1.0, 3: 0.7, 9: 0.5, 27: 0.35}
"""Tiles across a calibration image -> their maximum weight: coarse structure outweighs fine, as in photographs.
Otherwise deep networks return values beyond float32's precision for photographs."""
_NOISE_SHARE = 0.25
_CONSTANTS_JITTER = 0.25
"""Spread of parameters whose elements are all equal in a fresh network: scales at 0 or 1, biases."""
_STATISTICS_JITTER = 0.02
"""Relative spread of batch norm statistics: enough to reveal a wrong one, too little to add up over 100 layers."""
_CALIBRATION_EPSILON = 1e-5
"""Epsilon while statistics are measured, of batch norms whose own is 0, which torch takes for inference only."""
_LEAST_VARIANCE = 0.1
"""Minimum variance of a channel relative to its layer's mean, as channels may vary more on other inputs."""
_HEAD_DEVIATION = 2.0
"""Standard deviation of the outputs of random networks, similar to logits of trained ones."""


def randomise(spec: NetworkSpec, seed: int) -> torch.nn.Module:
    """Return the network with random weights, equal for equal seeds: float32, in evaluation mode, on the CPU.

    Constant parameters, such as scales of residual branches at 0, are randomised, since they could hide errors; batch
    norms get statistics measured on random inputs; the output layer is rescaled around 0, since the outputs of a fresh
    network are nearly the same for every input.

    Raises:
        ConfigError: the network cannot be made from its target and arguments.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = construct(spec.target)
        norms = [module for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
        examples = [random_inputs.example(tensor) for tensor in spec.inputs]
        inputs = [_random_input(example, _sample_count(examples)) for example in examples]
        with torch.no_grad():
            _spread_constants(network)
            try:
                if norms:
                    _randomise_norms(network, norms, inputs)
                _spread_outputs(network, inputs)
            except (RunnerError, MemoryError):
                raise
            except Exception as error:  # a network's code may raise anything
                raise ConfigError(
                    f"{spec.target.name} cannot take inputs of shapes "
                    f"{', '.join(str(list(tensor.shape)) for tensor in spec.inputs)}: {hooks.told(error)}",
                    "correct model.inputs, or the arguments in model.network",
                ) from error
    return network


def _sample_count(inputs: Sequence[TensorSpec]) -> int:
    largest = max(1, *(math.prod(tensor.shape) for tensor in inputs))
    return max(_LEAST_CALIBRATION_SAMPLES, min(_CALIBRATION_SAMPLES, _CALIBRATION_VALUES // largest))


def _random_input(spec: TensorSpec, samples: int) -> torch.Tensor:
    """Return a batch of unit variance: a quarter white noise, the rest with areas and edges like photographs.

    Integer and bool inputs are as in runner.data.random_inputs.
    """
    if not getattr(torch, spec.dtype).is_floating_point:
        generator = np.random.default_rng(0)
        return torch.from_numpy(random_inputs.values(generator, spec.dtype, (samples, *spec.shape)))
    batch = torch.randn(samples, *spec.shape)
    if len(spec.shape) == 3 and min(spec.shape[1:]) > 1:
        for index in range(samples // 4, samples):
            batch[index] = _picture(batch[index])
    return batch.to(getattr(torch, spec.dtype))


def _picture(noise: torch.Tensor) -> torch.Tensor:
    """Add tiles of random colours to noise [C, H, W], with random weights: larger tiles are stronger."""
    shares = torch.rand(len(_TILES) + 1) * torch.tensor([*_TILES.values(), _NOISE_SHARE])
    shares /= shares.norm()
    picture = shares[-1] * noise
    for share, across in zip(shares, _TILES, strict=False):
        colours = torch.randn(1, noise.shape[0], across, across)
        picture += share * torch.nn.functional.interpolate(colours, size=noise.shape[1:])[0]
    return picture


def _spread_constants(network: torch.nn.Module) -> None:
    """Randomise constant parameters: multiply by values around 1 if above 0.5, otherwise add values around 0."""
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
    settings = [(norm.momentum, norm.eps) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average, so that one batch sets the statistics
        norm.eps = norm.eps or _CALIBRATION_EPSILON
        norm.train()
    network(*inputs)
    for norm, (momentum, epsilon) in zip(norms, settings, strict=True):
        norm.momentum, norm.eps = momentum, epsilon
        norm.eval()
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_var.clamp_(min=_LEAST_VARIANCE * float(norm.running_var.mean()))
            deviation = norm.running_var.sqrt()
            norm.running_mean.add_(_STATISTICS_JITTER * deviation * torch.randn_like(deviation))
            norm.running_var.mul_(1 + _STATISTICS_JITTER * torch.randn_like(deviation))


def _spread_outputs(network: torch.nn.Module, inputs: list[torch.Tensor]) -> None:
    """Shift and scale the last linear layer or convolution: mean 0 per channel, a fixed deviation overall."""
    calls: deque[tuple[Any, torch.Tensor]] = deque(maxlen=1)  # keeping all would keep every activation in memory
    kinds = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    handles: list[RemovableHandle] = [
        module.register_forward_hook(lambda module, _, output: calls.append((module, output)))
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    network(*inputs)
    for handle in handles:
        handle.remove()
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
