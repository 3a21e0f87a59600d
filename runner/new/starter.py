"""A small network to begin with, for a package that is not there yet."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from keyword import iskeyword
from pathlib import Path

from runner.core import ConfigError, TensorSpec, either, likeness, nearest
from runner.new.probing import Wanted

CLASSES = 10
"""How many outputs a starter network has."""
DEFAULT_INPUT = Wanted("image", (3, 32, 32), "float32")
LEAST_ALIKE = 0.75
"""Least likeness of an existing package to be suggested for a missing one."""


def is_missing(network: str, folder: Path) -> bool:
    """Whether a network's package is neither installed nor beside `folder`, so that a starter network may be written.

    Raises:
        ConfigError: it is not a dotted name, or it is close to the name of an existing package.
    """
    package, *rest = network.split(".")
    fix = "name the class, as in --network my_pkg.net.Net for my_pkg/net.py"
    if not rest or not all(map(_is_name, (package, *rest))):
        raise ConfigError(f"{network} is no PACKAGE.MODULE.NAME", fix)
    beside = folder.absolute().parent
    if importlib.util.find_spec(package) or (beside / package).is_dir() or (beside / f"{package}.py").is_file():
        return False
    present = {path.parent.name for path in beside.glob("*/*.py")}
    near = [name for name in nearest(package, present) if likeness(package, name) >= LEAST_ALIKE]
    if near:
        raise ConfigError(f"there is no package {package}", f"did you mean {either(near)}?")
    if len(rest) < 2:
        raise ConfigError(f"there is no package {package}, and no module of it is named to begin one", fix)
    return True


def module(network: str, wanted: Sequence[Wanted]) -> tuple[Path, str]:
    """Return the file of a starter network PACKAGE.MODULE.NAME that takes these inputs, and its code.

    Raises:
        ConfigError: an input has no name that Python takes, the name of another, or a free size.
    """
    package, *modules, class_name = network.split(".")
    inputs = [TensorSpec(each.name or f"input{index}", each.dtype, each.shape) for index, each in enumerate(wanted)]
    names = [spec.name for spec in inputs]
    if not all(map(_is_name, names)) or len(set(names)) < len(names):
        raise ConfigError(
            f"the inputs of the network to begin with are called {', '.join(names)}",
            "give each --input a name of its own that Python takes, as in --input image:3,32,32",
        )
    if any(spec.is_free for spec in inputs):
        raise ConfigError(
            "the network to begin with takes no free sizes", "give numbers, as in --input 3,32,32, or write yours first"
        )
    return Path(package, *modules).with_suffix(".py"), _code(class_name, inputs)


def _is_name(text: str) -> bool:
    return text.isidentifier() and not iskeyword(text)


def _code(class_name: str, inputs: Sequence[TensorSpec]) -> str:
    """Return the code of a small network with CLASSES outputs, to be replaced by the user's own."""
    convolves = len(inputs) == 1 and len(inputs[0].shape) == 3
    return (_CONVOLUTIONAL if convolves else _LINEAR).format(
        name=class_name,
        classes=CLASSES,
        channels=inputs[0].shape[0] if convolves else 0,
        numbers=sum(math.prod(spec.shape) for spec in inputs),
        arguments=", ".join(f"{spec.name}: Tensor" for spec in inputs),
        first=inputs[0].name,
        flattened=", ".join(f"{spec.name}.flatten(1).float()" for spec in inputs),
    )


_CONVOLUTIONAL = '''"""A small network to begin with: put yours in its place."""

from torch import Tensor, nn


class {name}(nn.Module):
    def __init__(self, classes: int = {classes}) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d({channels}, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(8)
        )
        self.classifier = nn.Linear(16 * 8 * 8, classes)

    def forward(self, {arguments}) -> Tensor:
        return self.classifier(self.features({first}).flatten(1))
'''
_LINEAR = '''"""A small network to begin with: put yours in its place."""

import torch
from torch import Tensor, nn


class {name}(nn.Module):
    def __init__(self, classes: int = {classes}) -> None:
        super().__init__()
        self.classifier = nn.Sequential(nn.Linear({numbers}, 64), nn.ReLU(), nn.Linear(64, classes))

    def forward(self, {arguments}) -> Tensor:
        return self.classifier(torch.cat([{flattened}], dim=1))
'''
