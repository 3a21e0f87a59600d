"""A callable that a configuration names, as data: its name, its arguments, and its place. Nothing is imported here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Target:
    """A callable by name, its arguments, and its place in the configuration, such as `dataset.reader`.

    Arguments of a network, and items of them, may be targets, whose results are passed in their place.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    place: str = field(default="", compare=False)
    positional: tuple[Any, ...] = ()

    def __str__(self) -> str:
        """As a call in Python: `torch.nn.Linear(3, out_features=4)`."""
        given = [*map(shown, self.positional), *(f"{name}={shown(each)}" for name, each in self.arguments.items())]
        return f"{self.name}({', '.join(given)})"


def shown(argument: Any) -> str:
    """Return an argument as Python writes it; a target in it as a call."""
    return str(argument) if isinstance(argument, Target) else repr(replaced(argument, str))


def replaced(argument: Any, replacement: Callable[[Target], Any]) -> Any:
    """Return an argument with `replacement` of each target in place of it, in lists and mappings too."""
    if isinstance(argument, Target):
        return replacement(argument)
    if isinstance(argument, Mapping):
        return {key: replaced(value, replacement) for key, value in argument.items()}
    if isinstance(argument, (list, tuple)):
        return [replaced(value, replacement) for value in argument]
    return argument


def with_nested(target: Target) -> Iterator[Target]:
    """Yield the target, and those among its arguments at any depth."""
    yield target
    nested: list[Target] = []
    replaced([target.positional, target.arguments], nested.append)
    for each in nested:
        yield from with_nested(each)
