"""What libraries of networks say of each of theirs: its input, its preprocessing, its classes, its checkpoint.

In a model's YAML `${library:timm,${model.arch},resize}` is one of these facts (FACTS). A library is asked once for all
of its networks: <cache_dir>/libraries/<library>-<version>-<digest of what asks>.json remembers the answer, so that a
configuration is composed without importing it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig, OmegaConf

from runner import options, targets
from runner.errors import ConfigError
from runner.hashing import write_atomically
from runner.libraries.catalogue import Catalogue, Network

LISTED_BY = {
    "timm": "python -c \"import timm; print(*timm.list_models('*resnet*', pretrained=True))\"",
    "torchvision": 'python -c "from torchvision import models; print(*models.list_models(models))"',
}
"""The libraries, and the command that lists what each has."""
FACTS = (
    *("name", "shape", "resize", "keep_ratio", "interpolation", "crop", "mean", "std", "classes"),
    *("reference", "file", "url", "sha256"),
)
"""What can be asked of a network; `shape` is its input's, [3, crop, crop]."""


def register() -> None:
    """Make `${library:...}` known to OmegaConf."""
    OmegaConf.register_new_resolver("library", _resolve, replace=True)


def _resolve(library: str, arch: str | None, fact: str, *, _root_: DictConfig) -> Any:
    return ask(library, arch, fact, Path(_root_.cache_dir).expanduser().absolute())


def ask(library: str, arch: str | None, fact: str, cache_dir: Path) -> Any:
    """One of FACTS of the network `arch`, as YAML holds it.

    Raises:
        ConfigError: no such library, fact or network; one that the runner cannot feed; or the classes of one that has
            none.
    """
    if library not in LISTED_BY or fact not in FACTS:
        raise ConfigError(
            f"${{library:{library},...,{fact}}} asks for what is not known",
            f"ask {' or '.join(LISTED_BY)} for one of {', '.join(FACTS)}",
        )
    if arch is None:
        raise ConfigError(
            f"model={library} stands for any network of {library}, and none is named",
            f"name it, as in model={library} model.arch=resnet18; {LISTED_BY[library]} lists them",
        )
    network = find(library, arch, cache_dir)
    if fact == "classes" and not network.classes:
        raise ConfigError(
            f"model.arch is {arch!r}, which has no classifier for {library}'s own weights: it gives features",
            "give model.network.num_classes=N and weights of yours or weights=random, or choose another model.arch",
        )
    derived = {"name": arch, "shape": [3, network.size, network.size], "crop": network.size}
    value = derived[fact] if fact in derived else getattr(network, fact)
    return list(value) if isinstance(value, tuple) else value


def find(library: str, arch: str, cache_dir: Path) -> Network:
    """What the library says of a network.

    Raises:
        ConfigError: it has none of that name, or one that the runner cannot feed.
    """
    catalogue = catalogue_of(library, cache_dir)
    if arch in catalogue.networks:
        return catalogue.networks[arch]
    if arch in catalogue.refused:
        raise ConfigError(
            f"model.arch is {arch!r}, which cannot be run: {catalogue.refused[arch]}",
            f"choose a network that takes square pictures and gives classes; {LISTED_BY[library]} lists them",
        )
    near = options.nearest(arch, catalogue.networks)
    hint = f"did you mean {options.either(near)}? " if near else ""
    raise ConfigError(
        f"model.arch is {arch!r}, and {library} {importlib.metadata.version(library)} has no such network",
        f"{hint}{LISTED_BY[library]} lists them",
    )


def catalogue_of(library: str, cache_dir: Path) -> Catalogue:
    """All networks of a library, from memory, or else by importing it.

    Raises:
        ConfigError: the library is not installed.
    """
    try:
        version = importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(f"model={library}: {library} is not installed", f"pip install {library}") from error
    return _catalogue(library, cache_dir / "libraries" / f"{library}-{version}-{_own_digest(library)}.json")


@cache  # a configuration asks a dozen times
def _catalogue(library: str, memory: Path) -> Catalogue:
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(memory.read_bytes(), type=Catalogue)
    read: Catalogue = importlib.import_module(f"{__name__}.{library}").catalogue()
    with suppress(OSError):  # asked anew next time
        write_atomically(memory, msgspec.json.encode(read))
    return read


@cache
def _own_digest(library: str) -> str:
    return targets.source_digest(f"{__name__}.{library}")[:8]
