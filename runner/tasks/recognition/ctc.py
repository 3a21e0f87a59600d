"""Decoding of connectionist temporal classification (CTC; Graves et al., ICML 2006): scores at positions to text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeGuard

from runner.core import ConfigError, DataError, bounds, one_of
from runner.core.lazy import NDArray, np
from runner.data import Row
from runner.tasks.decode import METADATA


def is_known(alphabet: str | Sequence[str] | None) -> TypeGuard[str | Sequence[str]]:
    """Return whether an alphabet's characters are given, and not where an ONNX file says them."""
    return bool(alphabet) and not (isinstance(alphabet, str) and alphabet.startswith(METADATA))


@dataclass(frozen=True)
class Ctc:
    """The text of the best class at each position: repeats are one character, and the blank is none.

    `alphabet` are the characters in the order of the classes, without the blank: a string, or a list where a class
    stands for several characters; `space` appends a space. `metadata:KEY` is the lines that an ONNX file from outside
    says under that key. `blank` is the blank's class: first, last, or an index. `layout` is the axes' order of the
    model's first output: NTC [N, positions, classes], or NCT [N, classes, positions].
    """

    alphabet: str | Sequence[str]
    blank: Literal["first", "last"] | int = "first"
    layout: str = one_of("NTC", "NCT")
    space: bool = False

    def __post_init__(self) -> None:
        bounds.check(self, "model.decode")
        if not self.alphabet or "" in list(self.alphabet):
            raise ConfigError(
                f"model.decode.alphabet is {self.alphabet!r}",
                "give the characters in the order of the classes, without the blank, as in 0123456789",
            )
        count = len(self._alphabet)
        if not 0 <= self._blank <= count:
            raise ConfigError(
                f"model.decode.blank is {self.blank}, and {count} characters and the blank are classes 0 to {count}",
                "give the blank's class: first, last, or an index",
            )

    def __call__(self, outputs: Mapping[str, NDArray[Any]], rows: Sequence[Row]) -> list[str]:
        scores = next(iter(outputs.values()))
        axis = 1 if self.layout == "NCT" else 2
        if scores.ndim != 3 or scores.shape[axis] != len(self._characters):
            raise DataError(
                f"the model's first output is {list(scores.shape)}, and model.decode reads {self.layout} with "
                f"{len(self._characters)} classes: {len(self._alphabet)} characters and the blank",
                "correct model.decode.alphabet, which is without the blank, or model.decode.layout",
            )
        best = scores.argmax(axis=axis)
        kept = best != self._blank
        kept[:, 1:] &= best[:, 1:] != best[:, :-1]
        return ["".join(self._characters[classes[keep]]) for classes, keep in zip(best, kept, strict=True)]

    @property
    def _blank(self) -> int:
        places = {"first": 0, "last": len(self._alphabet)}
        return places[self.blank] if isinstance(self.blank, str) else self.blank

    @cached_property
    def _characters(self) -> NDArray[Any]:
        """The text of each class."""
        return np.array([*self._alphabet[: self._blank], "", *self._alphabet[self._blank :]], dtype=object)

    @cached_property
    def _alphabet(self) -> list[str]:
        return [*self.alphabet, *([" "] if self.space else [])]
