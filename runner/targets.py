"""Callables named by YAML: `_target_` is the dotted name, its siblings are the keyword arguments."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from runner.errors import ConfigError

LIBRARIES = ("timm", "torchvision", "torch")
"""Top-level packages whose version stands for their source."""


@dataclass(frozen=True)
class Target:
    """A callable by name and its keyword arguments."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


def parse(node: Mapping[str, Any], where: str) -> Target:
    """Split a YAML node into the callable's name and its arguments.

    Raises:
        ConfigError: `_target_` is missing or no dotted name.
    """
    name = node.get("_target_")
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")) or "." not in name:
        raise ConfigError(
            f"{where}._target_ is {name!r}, not the dotted name of a callable",
            f"write {where}._target_ as package.module.name, as in zoo.dqn.NatureDQN",
        )
    return Target(name, {key: value for key, value in node.items() if key != "_target_"})


def locate(target: Target) -> Callable[..., Any]:
    """Import the callable.

    Raises:
        ConfigError: no such module, no such name in it, or not callable.
    """
    module_name, _, attribute = target.name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{target.name}: there is no module {error.name!r}",
            f"correct the name, or install the package that holds {module_name}",
        ) from error
    found = getattr(module, attribute, None)
    if not callable(found):
        choices = sorted(name for name, value in vars(module).items() if callable(value) and not name.startswith("_"))
        raise ConfigError(
            f"{target.name}: {module_name} has no callable {attribute!r}",
            f"it has: {', '.join(choices[:40])}",
        )
    return found  # type: ignore[no-any-return]


def call(target: Target, *positional: Any, **extra: Any) -> Any:
    """Import the callable, check its signature, and call it with the target's arguments and `extra`.

    Raises:
        ConfigError: the arguments do not fit the signature; all that do not are named.
    """
    function = locate(target)
    check_arguments(target, function, len(positional), extra)
    return function(*positional, **target.arguments, **extra)


def check_arguments(target: Target, function: Callable[..., Any], positional: int, extra: Mapping[str, Any]) -> None:
    """Check what `call` would pass, without calling: `positional` arguments first, then those by name.

    Raises:
        ConfigError: unknown or missing arguments, all of them.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin without a signature
        return
    named = parameters[positional:]
    given = {*target.arguments, *extra}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    unknown = [] if takes_any else sorted(given - {parameter.name for parameter in named})
    missing = [
        parameter.name
        for parameter in named
        if parameter.default is parameter.empty and parameter.kind not in variadic and parameter.name not in given
    ]
    if unknown or missing:
        told = [f"has no argument {name!r}" for name in unknown] + [f"lacks its argument {name!r}" for name in missing]
        accepted = ", ".join(str(parameter) for parameter in named)
        raise ConfigError(f"{target.name} {' and '.join(told)}", f"it takes ({accepted})")


def source_digest(module_name: str) -> str:
    """Hash the source of a module and of the modules of its own top-level package that it imports, without importing.

    For a library's (timm's, torchvision's, torch's) its version is the digest.
    """
    top = module_name.split(".")[0]
    if top in LIBRARIES:
        return f"{top} {importlib.metadata.version(top)}"
    digest = hashlib.sha256()
    for name, source in sorted(_sources(module_name).items()):
        digest.update(f"{name}\0{hashlib.sha256(source).hexdigest()}\0".encode())
    return digest.hexdigest()


def _sources(module_name: str) -> dict[str, bytes]:
    sources: dict[str, bytes] = {}
    pending = [module_name]
    while pending:
        name = pending.pop()
        path = module_path(name)
        if name in sources or path is None:
            continue
        sources[name] = path.read_bytes()
        pending += [found for found in _imports(name, path, sources[name]) if found not in sources]
    return sources


@cache  # stages share most of their modules
def _imports(name: str, path: Path, source: bytes) -> tuple[str, ...]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(candidate for candidate in found if candidate.split(".")[0] == name.split(".")[0])


def module_path(module_name: str) -> Path | None:
    """The source file of a module, found without importing anything; None if there is none."""
    top, *rest = module_name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin is not None and spec.has_location else None
    for folder in spec.submodule_search_locations or ():
        stem = Path(folder).joinpath(*rest)
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None
