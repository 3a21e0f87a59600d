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
LAST = ("score", "benchmark")
"""What a whole run is for: with what they need, all stages, unless the model was compiled elsewhere."""
INVARIANCE = "invariance"
"""Runs after scoring if the same samples have been inferred at another batch size."""
STORED = (*STAGES, INVARIANCE)
"""Stages whose artifacts are in the store."""


def needs(
    *,
    plays: bool = False,
    real_inputs: bool = False,
    free_sizes: bool = False,
    compiles: bool = False,
    is_outside: bool = False,
    reads_metadata: bool = False,
    compiled_elsewhere: bool = False,
) -> Needs:
    """Return the dependencies, including those that options add.

    Samples may be made by the network, and a benchmark may run on real inputs. Where inputs have free sizes, the shapes
    of the samples are what a benchmark measures and, if the tool `compiles`, what the model is compiled for. An ONNX
    model from outside is its own reference, and its metadata may be what the decoder needs. A model that was
    `compiled_elsewhere` needs nothing.
    """
    more: dict[str, tuple[str, ...]] = {}
    if plays:
        more["prepare"] = ("weights",)
    if free_sizes and compiles:
        more["compile"] = (*NEEDS["compile"], "prepare")
    if compiled_elsewhere:
        more["compile"] = ()
    if real_inputs or free_sizes:
        more["benchmark"] = (*NEEDS["benchmark"], "prepare")
    if is_outside:
        more["reference"] = ("export", "prepare")
    if reads_metadata:
        more["score"] = (*NEEDS["score"], "export")
    return {**NEEDS, **more}


def wanted(names: Sequence[str] | None, needs: Needs) -> set[str]:
    """Return the named stages and their dependencies; for None, those of a whole run."""
    chosen = set(LAST if names is None else names)
    while more := {need for name in chosen for need in needs.get(name, ())} - chosen:
        chosen |= more
    return chosen
