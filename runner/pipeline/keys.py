"""The cache key of a stage: a hash of exactly what its result depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from runner.core import Artifact, environment, modules
from runner.store import SCHEMA

COUNTED = tuple(
    f"{modules.OWN_PACKAGE}.{wing}" for wing in ("stages", "networks", "graph", "data", "tasks", "tools", "measure")
)
"""The packages that compute results, whose source is part of keys; the others select, store and show results."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step: `runner.stages.<function>.<function>(spec, *artifacts of needs, out)` makes an artifact of `kind`.

    `hooks` are the dotted names of callables from the configuration, `packages` the distributions that the step calls:
    their source and versions are part of its key. `excluded_from_key` names arguments of the tool or the compiler in
    the spec, or its own fields, that do not change the result (paths, time-outs, a mirror). A step that is not `stored`
    costs nothing and writes nothing. A step that `resumes` continues from the files of an interrupted attempt. An
    `announcement` is a line shown before the step is made, in place of a live line, which would disturb a measurement.
    """

    name: str
    kind: type[Artifact]
    spec: Any
    needs: tuple[str, ...] = ()
    function: str = ""
    hooks: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    excluded_from_key: tuple[str, ...] = ()
    stored: bool = True
    resumes: bool = False
    announcement: str = ""

    @property
    def module(self) -> str:
        """The module that defines the stage's function."""
        return f"{modules.OWN_PACKAGE}.stages.{self.function or self.name}"


def key(stage: Stage, inputs: Mapping[str, Artifact]) -> str:
    """Return the cache key, 32 hex digits: a hash of the spec, the content of the inputs, versions and sources."""
    return key_of(stage, {name: artifact.identity for name, artifact in inputs.items()})


def key_of(stage: Stage, identities: Mapping[str, str]) -> str:
    """Return the cache key for inputs of these identities."""
    described = {
        "format": SCHEMA,
        "stage": stage.name,
        "spec": _without(stage.excluded_from_key, msgspec.to_builtins(stage.spec, enc_hook=str)),
        "inputs": identities,
        "packages": {name: environment.package_version(name) for name in stage.packages},
        "code": [modules.source_digest(name, COUNTED) for name in (stage.module, *stage.hooks)],
    }
    encoded = msgspec.json.encode(described, order="deterministic", enc_hook=str)
    return hashlib.sha256(encoded).hexdigest()[:32]


def _without(excluded: tuple[str, ...], spec: dict[str, Any]) -> dict[str, Any]:
    """Return the spec without the arguments of its tool or compiler; without its own fields if it has neither."""
    called = [spec[name] for name in ("tool", "compiler") if spec.get(name) is not None]
    for each in called:
        each["arguments"] = {name: value for name, value in each["arguments"].items() if name not in excluded}
    return spec if called else {name: value for name, value in spec.items() if name not in excluded}
