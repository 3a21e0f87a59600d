"""The order of the stages and their dependencies, defined only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Needs = Mapping[str, tuple[str, ...]]
"""Stage -> the stages whose artifacts are its arguments, in order."""

NEEDS: Needs = {
    "weights": (),
    "export": ("weights",),
    "simplify": ("export",),
    "compile": ("simplify",),
    "prepare": (),
    "infer": ("compile", "prepare"),
    "reference": ("weights", "prepare"),
    "score": ("infer", "reference", "prepare"),
    "benchmark": ("compile",),
}
"""Dependencies that hold for all options; see `needs`."""
STAGES = tuple(NEEDS)
INVARIANCE = "invariance"
"""Runs after scoring if the same samples have been inferred at another batch size."""
STORED = (*STAGES, INVARIANCE)
"""Stages whose artifacts are in the store."""


def needs(*, plays: bool, real_inputs: bool) -> Needs:
    """Return the dependencies, including those of samples made by the network and of benchmarks on real inputs."""
    more: dict[str, tuple[str, ...]] = {}
    if plays:
        more["prepare"] = ("weights",)
    if real_inputs:
        more["benchmark"] = (*NEEDS["benchmark"], "prepare")
    return {**NEEDS, **more}


def wanted(names: Sequence[str] | None, needs: Needs) -> set[str]:
    """Return the named stages and their dependencies; all for None."""
    chosen = set(STAGES if names is None else names)
    for name in reversed(STAGES):
        if name in chosen:
            chosen |= set(needs[name])
    return chosen
