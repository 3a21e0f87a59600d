"""Stage `prepare`: convert a data set to arrays, shared by all batch sizes, SoCs and tools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.config import hooks
from runner.config.callables import Target
from runner.config.targets import call
from runner.core import Samples
from runner.data import Reader, Request


@dataclass(frozen=True)
class PrepareSpec:
    """What to make samples from.

    `content` is the reader's description of its sources, which is only part of the cache key.
    """

    reader: Target
    request: Request
    content: Any


def prepare(spec: PrepareSpec, *, out: Path) -> Samples:
    """Write the samples into `out`, resuming an earlier attempt in the same folder.

    Raises:
        DataError: a sample or a label is unusable.
    """
    reader: Reader = call(spec.reader)
    made = reader.write(spec.request, out, None)
    return hooks.checked(made, Samples, reader.write)
