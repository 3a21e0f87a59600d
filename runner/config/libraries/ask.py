"""Metadata of each network in a library: its input, preprocessing, classes and checkpoint.

In a model's YAML `${library:timm,${model.arch},resize}` is one of FACTS. The metadata of all networks is read once
per library and cached in <cache_dir>/libraries/<library>-<version>-<digest of the reading code>.json, so that
composing a configuration does not import the library.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from contextlib import suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig, OmegaConf

from runner.config.libraries.catalogue import Catalogue, Network
from runner.core import (
    JSON_ERRORS,
    ConfigError,
    StoreError,
    at_home,
    did_you_mean,
    modules,
    read_regular,
    write_atomically,
)

LISTED_BY = {
    "timm": "python -c \"import timm; print(*timm.list_models('*resnet*', pretrained=True))\"",
    "torchvision": 'python -c "from torchvision import models; print(*models.list_models(models))"',
}
"""The libraries, and the command that lists the networks of each."""
FACTS = (
    *("name", "shape"),
    *(field.name for field in fields(Network) if field.name != "input_size"),
)
"""The available facts of a network; `shape` is that of its input, [3, height, width]."""
MOST_BYTES = 64 << 20
"""Of the cached metadata: that of timm's 1700 networks takes 1 MB."""
_PACKAGE = __name__.rpartition(".")[0]


def register() -> None:
    """Register the resolver `${library:...}` with OmegaConf."""
    OmegaConf.register_new_resolver("library", _resolve, replace=True)


def _resolve(library: str, arch: str | None, fact: str, *, _root_: DictConfig) -> Any:
    value = ask(library, arch, fact, at_home(_root_.cache_dir).absolute())
    if not isinstance(value, (list, dict)):
        return value
    container = OmegaConf.create(value)
    OmegaConf.set_readonly(container, True)  # setting an item of it would be without effect
    return container


def ask(library: str, arch: str | None, fact: str, cache_dir: Path) -> Any:
    """Return one of FACTS of the network `arch`, in YAML types.

    Raises:
        ConfigError: there is no such library, fact or network; the network is unsupported; or classes are asked for
            and it has none.
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
    derived = {"name": arch, "shape": [3, *network.input_size]}
    value = derived[fact] if fact in derived else getattr(network, fact)
    return list(value) if isinstance(value, tuple) else value


def find(library: str, arch: str, cache_dir: Path) -> Network:
    """Return the metadata of a network.

    Raises:
        ConfigError: the library has no such network, or it is unsupported.
    """
    catalogue = catalogue_of(library, cache_dir)
    if arch in catalogue.networks:
        return catalogue.networks[arch]
    if arch in catalogue.refused:
        raise ConfigError(
            f"model.arch is {arch!r}, which cannot be run: {catalogue.refused[arch]}",
            f"choose a network of another kind; {LISTED_BY[library]} lists them",
        )
    hint = did_you_mean(arch, catalogue.networks)
    raise ConfigError(
        f"model.arch is {arch!r}, and {library} {importlib.metadata.version(library)} has no such network",
        f"{hint} {LISTED_BY[library]} lists them".lstrip(),
    )


def catalogue_of(library: str, cache_dir: Path) -> Catalogue:
    """Return the metadata of all networks of a library, from the cache or by importing the library.

    Raises:
        ConfigError: the library is not installed.
    """
    try:
        version = importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(f"model={library}: {library} is not installed", f"pip install {library}") from error
    return _catalogue(library, cache_dir / "libraries" / f"{library}-{version}-{_own_digest(library)}.json")


@cache  # called a dozen times per configuration
def _catalogue(library: str, memory: Path) -> Catalogue:
    with suppress(OSError, *JSON_ERRORS):
        return msgspec.json.decode(read_regular(memory, MOST_BYTES, memory.parents[1]), type=Catalogue)
    read: Catalogue = importlib.import_module(f"{_PACKAGE}.{library}").catalogue()
    with suppress(OSError, StoreError):  # read again next time
        write_atomically(memory, msgspec.json.encode(read), memory.parents[1])
    return read


@cache
def _own_digest(library: str) -> str:
    return modules.source_digest(f"{_PACKAGE}.{library}", (_PACKAGE,))[:8]
