"""What tells the jobs of results apart: what was run, on which machine, and with which versions. Pure."""

from __future__ import annotations

from functools import lru_cache
from itertools import compress

from runner.results.result import Performance, Result

STEERING = frozenset({"stages", "force", "dry_run", "cache_dir", "allow", "benchmark.profile"})
"""Keys that say how a run is carried out, and not what it computes or measures."""

SHA256_DIGITS = 8
"""How much is shown of a digest that tells two jobs apart."""

Settings = dict[str, str]
"""What tells a job apart: names, and what each is for the job."""


def job(result: Result, measured: bool = True) -> Settings:
    """Return everything that tells a job apart, but for versions, by name.

    These are the model, SoC, tool, batch size, data set, limit and weights; the overrides that were typed (see
    `overrides`); the host and CPU; and, if `measured`, the measured cards and their number of chips.
    """
    performance = result.performance or Performance()
    cards = {"devices": ", ".join(performance.devices), "chips": str(performance.chips)} if measured else {}
    return {
        "model": result.model,
        "soc": result.soc,
        "tool": result.tool,
        "batch": str(result.batch),
        "dataset": result.dataset,
        "limit": "" if result.limit is None else str(result.limit),
        "weights": f"{result.weights.origin} {result.weights.sha256}" if result.weights else "",
        **overrides(result),
        **cards,
        "host": result.environment.host,
        "cpu": result.environment.cpu,
    }


def versions(result: Result) -> Settings:
    """Return the versions of the packages and of the tool that a job ran with, by name."""
    return {**result.environment.packages, **result.environment.tools}


def overrides(result: Result) -> Settings:
    """Return the overrides of a job by key, sorted, without those that its other settings tell.

    Left out are keys that only steer a run, options of a group that the result names (`batch=4`), `limit`, `weights`
    where they were reached, and `device` where the measured cards are known. An option that makes up the name of what
    it stands for (`model=timm`) is told as `model option`.
    """
    named = result.model, result.soc, result.tool, str(result.batch), result.dataset
    are_cards_known = bool(result.performance and result.performance.devices)
    is_told = bool(result.model), result.weights is not None, are_cards_known
    return dict(_told(result.overrides, named, is_told))


def named(result: Result) -> str:
    """Describe a run in one line: model, SoC, tool, batch size, data set, and what else was overridden."""
    own = [f"{key}={value}" for key, value in overrides(result).items()]
    if not result.model:
        return ", ".join(own) or result.path
    run = f"{result.model} on {result.soc} with {result.tool}, batch {result.batch}, {result.dataset}"
    return ", ".join([run, *own])


@lru_cache(maxsize=4096)
def _told(
    overrides: tuple[str, ...], named: tuple[str, ...], is_told: tuple[bool, bool, bool]
) -> tuple[tuple[str, str], ...]:
    options = dict(zip(("model", "soc", "tool", "batch", "dataset"), named, strict=True))
    known = set(compress(("limit", "weights", "device"), is_told))
    return tuple(
        (f"{key} option" if key in options else key, value)
        for key, value in typed(overrides)
        if key not in known and options.get(key) != value
    )


@lru_cache(maxsize=4096)
def typed(overrides: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the keys and values of overrides as typed, sorted, without those that only steer a run."""
    parsed = sorted(map(_parsed, overrides))
    return tuple((key, value) for key, value in parsed if key not in STEERING and not key.startswith("hydra."))


def _parsed(override: str) -> tuple[str, str]:
    """Return the key and value of an override; of one that removes a key, the value is "removed"."""
    if override.startswith("~"):
        return override[1:].partition("=")[0], "removed"
    key, _, value = override.lstrip("+").partition("=")
    is_quoted = len(value) > 2 and value[0] == value[-1] and value[0] in "'\""
    return key, value[1:-1] if is_quoted else value or "''"
