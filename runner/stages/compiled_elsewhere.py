"""Stage `compile` where another host has compiled the model: its artifact, copied from that host's store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.core import CompiledModel, ConfigError, DataError, TensorSpec, as_store_errors
from runner.store import manifests
from runner.store.manifests import MANIFEST, Damaged, Manifest


@dataclass(frozen=True, kw_only=True)
class ElsewhereSpec:
    """`folder` is the copied artifact, or contains several, of which the one of this model, SoC and batch is used.

    `inputs` is what that must take, and `outputs` names what it must return.
    """

    folder: Path
    model: str
    soc: str
    batch: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class _Copied:
    folder: Path
    manifest: Manifest
    model: CompiledModel

    def __str__(self) -> str:
        batches = ", ".join(map(str, self.model.batches or (self.model.batch,)))
        return f"{self.folder} ({self.manifest.model} for {self.model.soc}, batch {batches})"


def compiled_elsewhere(spec: ElsewhereSpec, *, out: Path | None = None) -> CompiledModel:
    """Return the compiled model, after comparing its files with the digests that its own host wrote beside them.

    Nothing is written: `out`, where a stage makes its artifact, is not used.

    Raises:
        ConfigError: the folder has no such model, or several. DataError: a file is missing, or differs from its digest.
    """
    with as_store_errors(spec.folder):
        copied = _chosen(spec)
        try:
            copied.manifest.check(copied.folder)
        except Damaged as damaged:
            raise DataError(
                f"compiled: {copied.folder}: {damaged}", "copy that folder again from the host that made it"
            ) from damaged
    model = copied.model
    is_free = any(tensor.is_free for tensor in spec.inputs)
    names = tuple(tensor.name for tensor in model.outputs)
    if names != spec.outputs or (not is_free and model.inputs != spec.inputs):
        raise ConfigError(
            f"compiled: {model.path} takes {_listed(model.inputs)} and returns {', '.join(names)}, but this run's "
            f"model takes {_listed(spec.inputs)} and returns {', '.join(spec.outputs)}",
            "give both hosts the same model.* keys (model.aipp changes the inputs), or compile it again",
        )
    return model.of_batch(spec.batch)


def _chosen(spec: ElsewhereSpec) -> _Copied:
    """Return the artifact in the folder, or in one directly below it, that fits.

    Raises:
        ConfigError: none fits, or several.
    """
    found: list[_Copied] = []
    damages: list[str] = []
    for folder in (spec.folder, *sorted(spec.folder.glob("*/"))):
        if (folder / MANIFEST).is_file():
            try:
                manifest = manifests.read(folder)
                found.append(_Copied(folder, manifest, manifest.artifact_in(folder, CompiledModel)))
            except Damaged as damaged:
                damages.append(f"{folder} (unusable: {damaged})")
    fitting = [
        each
        for each in found
        if (each.manifest.model, each.model.soc) == (spec.model, spec.soc) and each.model.serves(spec.batch)
    ]
    if len(fitting) == 1:
        return fitting[0]
    what = f"{spec.model} for {spec.soc}, batch {spec.batch}"
    if fitting:
        raise ConfigError(
            f"compiled={spec.folder} holds {what} {len(fitting)} times: "
            f"{', '.join(str(each.folder) for each in fitting)}",
            f"name one of them, as in compiled={fitting[0].folder}",
        )
    others = ", ".join([*map(str, found), *damages]) or f"nothing with {MANIFEST}"
    raise ConfigError(
        f"compiled={spec.folder} does not hold {what}; there is {others}",
        f"run `python -m runner model={spec.model} soc={spec.soc} batch={spec.batch} stages=[compile]` on the host "
        "with atc, and copy its outputs/cache/compile here (docs/two_hosts.md)",
    )


def _listed(tensors: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{tensor.name} {tensor.dtype} {list(tensor.shape)}" for tensor in tensors)
