"""Find the inputs and outputs of a user's network by building and calling it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.config import hooks, targets
from runner.config.callables import Target
from runner.core import ConfigError, RunnerError, TensorSpec
from runner.core.lazy import torch
from runner.data.random_inputs import example

SIDES = (28, 32, 64, 84, 96, 112, 128, 160, 192, 224, 227, 240, 256, 288, 299, 320, 331, 384, 448, 512)
"""Sides of square pictures, in pixels, that networks of fixed input size commonly take."""
BATCH = 2


@dataclass(frozen=True)
class Probed:
    """A network's inputs and outputs, without the batch axis; outputs are those of free inputs of the example size.

    `growing` are the axes of the first output that are longer for larger inputs; empty where that is not known.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    growing: tuple[int, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """An input given on the command line, with FREE sizes; without a name, the network's own is used."""

    name: str | None
    shape: tuple[int, ...]
    dtype: str


def probe(target: Target, wanted: Sequence[Wanted], *, twice: bool = False) -> Probed:
    """Build the network, find its inputs if none are given, call it, and inspect its outputs.

    `twice` calls it with inputs of twice the width too, to see which axes of the outputs grow.

    Raises:
        ConfigError: it cannot be built or called; its inputs cannot be found, or do not fit.
    """
    folder = Path.cwd()
    try:
        network = _made(target)
        names = _input_names(network)
        inputs = _named(wanted, names, target) if wanted else (_found_input(network, names, target),)
        outputs = tuple(_outputs(_called(network, inputs, target), target))
        return Probed(inputs, outputs, _growing(network, inputs, outputs[0], target) if twice else ())
    finally:
        os.chdir(folder)  # where files are written, whatever the network's code did


def _growing(
    network: torch.nn.Module, inputs: Sequence[TensorSpec], output: TensorSpec, target: Target
) -> tuple[int, ...]:
    """Return the axes of the first output that are longer for inputs of twice the width."""
    wide = [spec.at((*example(spec).shape[:-1], 2 * example(spec).shape[-1])) for spec in inputs]
    try:
        wider, *_ = _outputs(_called(network, wide, target), target)
    except ConfigError:  # it takes one size only
        return ()
    axes = enumerate(zip(output.shape, wider.shape, strict=False))
    return tuple(axis for axis, (size, larger) in axes if larger > size)


def _made(target: Target) -> torch.nn.Module:
    try:
        network = targets.call(target)
    except RunnerError:
        raise
    except Exception as error:  # user code may raise anything
        raise _refused(target, "cannot be made", error) from error
    if not isinstance(network, torch.nn.Module):
        raise ConfigError(
            f"{target.name} makes a {type(network).__name__}, no torch.nn.Module",
            "name the network's class, or a function that returns one",
        )
    return network.float().eval()


def _input_names(network: torch.nn.Module) -> list[str]:
    """Return the names of the required arguments of `forward`; empty if its signature does not name them."""
    parameters = inspect.signature(network.forward).parameters.values()
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]


def _named(wanted: Sequence[Wanted], names: Sequence[str], target: Target) -> tuple[TensorSpec, ...]:
    if names and len(names) != len(wanted):
        raise ConfigError(
            f"{target.name} takes {len(names)} inputs, {', '.join(names)}; {len(wanted)} are given",
            "give each its --input, in this order, as in --input "
            + " --input ".join(f"{name}:3,224,224" for name in names),
        )
    own = [*names, *(f"input{index}" for index in range(len(names), len(wanted)))]
    return tuple(
        TensorSpec(each.name or name, each.dtype, each.shape)
        for each, name in zip(wanted, own[: len(wanted)], strict=True)
    )


def _found_input(network: torch.nn.Module, names: Sequence[str], target: Target) -> TensorSpec:
    """Find the only shape that the network accepts, by trying those that fit its first layer.

    Raises:
        ConfigError: it takes several inputs, or accepts several shapes, or none of those tried.
    """
    fix = "say which with --input, without the batch axis, as in --input 3,224,224, or --input 128:int64 for words"
    if len(names) > 1:
        raise ConfigError(
            f"{target.name} takes {len(names)} inputs: {', '.join(names)}",
            f"describe each: --input {' --input '.join(f'{name}:3,224,224' for name in names)}",
        )
    name = names[0] if names else "input"
    fitting = []
    for shape in _candidates(network):
        spec = TensorSpec(name, "float32", shape)
        try:
            _called(network, (spec,), target)
        except ConfigError:
            continue
        fitting.append(spec)
        if len(fitting) > 1:
            shapes = " and ".join(str(list(spec.shape)) for spec in fitting)
            raise ConfigError(f"{target.name} takes inputs of several shapes, such as {shapes}", fix)
    if not fitting:
        raise ConfigError(f"{target.name} takes none of the inputs that were tried", fix)
    return fitting[0]


def _candidates(network: torch.nn.Module) -> Iterator[tuple[int, ...]]:
    nn = torch.nn
    for module in network.modules():
        if isinstance(module, nn.Linear):
            yield (module.in_features,)
            return
        if isinstance(module, nn.Conv2d):
            yield from ((module.in_channels, side, side) for side in SIDES)
            return


def _called(network: torch.nn.Module, inputs: Sequence[TensorSpec], target: Target) -> Any:
    try:
        with torch.no_grad():
            return network(
                *(torch.zeros(BATCH, *example(spec).shape, dtype=getattr(torch, spec.dtype)) for spec in inputs)
            )
    except Exception as error:  # user code may raise anything
        shapes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in inputs)
        raise _refused(target, f"cannot be called with {shapes}", error) from error


def _outputs(result: Any, target: Target) -> Iterator[TensorSpec]:
    if isinstance(result, Mapping):
        named = [(str(name), value) for name, value in result.items()]
    else:
        several = list(result) if isinstance(result, (tuple, list)) else [result]
        names = ["output"] if len(several) == 1 else [f"output{index}" for index in range(len(several))]
        named = list(zip(names, several, strict=True))
    for name, value in named:
        if not isinstance(value, torch.Tensor):
            raise ConfigError(
                f"{target.name} returns {name} as a {type(value).__name__}, no tensor",
                "return a tensor, tensors, or a dict of tensors by name; of a detector, what its heads predict"
                " (docs/detector.md)",
            )
        if not value.dim() or value.shape[0] != BATCH:
            raise ConfigError(
                f"{target.name} returns {name} as {list(value.shape)} for a batch of {BATCH}",
                "keep the batch as the first axis of what goes in and comes out; of a detector, stop before the"
                " suppression (docs/detector.md)",
            )
        yield TensorSpec(name, str(value.dtype).removeprefix("torch."), tuple(value.shape[1:]))


def _refused(target: Target, what: str, error: Exception) -> ConfigError:
    told = " ".join(hooks.told(error).split())
    return ConfigError(f"{target.name} {what}: {told}", "correct the network, or --input")
