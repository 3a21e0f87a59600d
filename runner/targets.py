"""Callables named by YAML: `_target_` is the dotted name, its siblings are the keyword arguments.

YAML may be a stranger's, so what it may name is listed here, and nothing else is imported or called: the runner's own
hooks, each in its place; networks in zoo/, timm, torchvision and torch.nn; and the packages that the user allows on
the command line.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from runner.errors import ConfigError

LIBRARIES = ("timm", "torchvision", "torch")
"""Top-level packages whose version stands for their source."""
NETWORKS = ("timm", "torchvision", "torch.nn")
"""Libraries that networks may be named from."""
OWN_HOOKS = {
    "dataset.metrics": ("runner.metrics",),
    "dataset.preview": ("runner.report.image_grid",),
    "dataset.reader": ("runner.datasets",),
    "model.checkpoint.adapt": ("runner.libraries.timm",),
    "model.network": ("runner.libraries.torchvision",),
    "model.surgery": ("runner.onnx_surgery",),
    "tool.adapter": ("runner.tools",),
    "tool.compiler": ("runner.compilers",),
}
"""Place in the configuration -> where the runner's own callables for it are; zoo/ and what is allowed may be anywhere.

runner.process.run would run any program, and runner.tools.command_line.run too: see `_check_purpose`.
"""
_OWN = tuple(package for packages in OWN_HOOKS.values() for package in packages)
_CLASSES = ("runner.datasets", "runner.tools", "runner.compilers")
"""Where the hooks are classes; a function in there is none."""
_FETCHING_ARGUMENTS = frozenset({"checkpoint_path", "pretrained", "pretrained_backbone", "weights", "weights_backbone"})
"""Arguments of the libraries' models that read a file with code in it, or ask the network for one."""

_MODEL_NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""One of timm's own; `hf-hub:` and `local-dir:` fetch a model and its weights from elsewhere."""

_allowed: list[str] = []


def allow(packages: Sequence[str]) -> None:
    """Let `_target_` name these packages too, instead of those of an earlier call.

    Raises:
        ConfigError: one is no name of a package.
    """
    for package in packages:
        if not _is_dotted(package):
            raise ConfigError(f"allow names {package!r}, which is no package", "give names, as in allow=[my_package]")
    _allowed[:] = packages


def allowed() -> tuple[str, ...]:
    """The packages that the user allows beside the runner's own choice."""
    return tuple(_allowed)


@dataclass(frozen=True)
class Target:
    """A callable by name and its keyword arguments."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


def parse(node: Mapping[str, Any], where: str) -> Target:
    """Split a YAML node into the callable's name and its arguments.

    Raises:
        ConfigError: `_target_` is missing, no dotted name, or nothing that may stand at `where`.
    """
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where} is {node!r}, not a callable and its arguments", f"give {where}._target_=NAME")
    return named(node.get("_target_"), where, {key: value for key, value in node.items() if key != "_target_"})


def named(name: object, where: str, arguments: Mapping[str, Any] | None = None) -> Target:
    """A callable by its name alone, or with arguments, which are checked as far as they can be without importing it.

    Raises:
        ConfigError: no dotted name, or nothing that may stand at `where`.
    """
    if not isinstance(name, str) or not _is_dotted(name) or "." not in name:
        raise ConfigError(
            f"{where}._target_ is {name!r}, not the dotted name of a callable",
            f"write {where}._target_ as package.module.name, as in zoo.dqn.NatureDQN",
        )
    target = Target(name, dict(arguments or {}))
    place = "dataset.metrics" if where.startswith("dataset.metrics.") else where
    libraries = NETWORKS if place == "model.network" else ()
    _check_name(target, f"{where} names", (*OWN_HOOKS.get(place, ()), *libraries))
    return target


def locate(target: Target) -> Callable[..., Any]:
    """Import the callable.

    Raises:
        ConfigError: it may not be named, there is no such module, no such name in it, or it is not callable.
    """
    _check_name(target, "the configuration names", (*_OWN, *NETWORKS))
    module_name, _, attribute = target.name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{target.name}: there is no module {error.name!r}",
            f"correct the name, or install the package that holds {module_name}",
        ) from error
    found = getattr(module, attribute, None)
    if not callable(found) or attribute.startswith("_"):
        choices = sorted(name for name, value in vars(module).items() if callable(value) and not name.startswith("_"))
        raise ConfigError(
            f"{target.name}: {module_name} has no callable {attribute!r}",
            f"it has: {', '.join(choices[:40])}",
        )
    _check_origin(target, found)
    _check_purpose(target, found)
    return found  # type: ignore[no-any-return]


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _is_in(name: str, packages: Sequence[str]) -> bool:
    """Whether a dotted name is one of the packages or something in one."""
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def _check_name(target: Target, told: str, packages: tuple[str, ...]) -> None:
    """Refuse by the name and the arguments alone: importing a module runs it already."""
    choices = ("zoo", *packages, *_allowed)
    if not _is_in(target.name, choices):
        top = target.name.split(".")[0]
        hint = "" if top in ("zoo", "runner", *LIBRARIES) else f", or allow a package of yours: allow=[{top}]"
        raise ConfigError(
            f"{told} {target.name}, which may not be called there", f"name something in {', '.join(choices)}{hint}"
        )
    if _is_in(target.name, (*NETWORKS, "runner.libraries")) and not _is_in(target.name, _allowed):
        _check_library_arguments(target)


def _check_library_arguments(target: Target) -> None:
    for argument, value in target.arguments.items():
        if argument in _FETCHING_ARGUMENTS and value:
            raise ConfigError(
                f"{target.name} is given {argument}={value!r}, by which the library itself would load weights",
                "leave it out: weights come through model.checkpoint, or weights=PATH",
            )
    model = target.arguments.get("model_name", "resnet50")
    if not isinstance(model, str) or not _MODEL_NAME.fullmatch(model):
        raise ConfigError(
            f"{target.name} is given model_name={model!r}, which is no plain name of a model that timm holds itself",
            "name one of timm.list_models(): others are fetched from elsewhere, with their weights",
        )


def _check_origin(target: Target, found: Any) -> None:
    """Refuse what a module has only imported from elsewhere: torchvision.io.os.system, and its like."""
    origin = getattr(found, "__module__", None)
    of_code = inspect.isclass(found) or inspect.isroutine(found)
    if of_code and isinstance(origin, str) and _is_in(origin, ("zoo", *_OWN, *NETWORKS, *_allowed)):
        return
    raise ConfigError(
        f"{target.name} is defined in {origin!r} and not in a package that may be called from a configuration",
        "name a class or a function where it is defined",
    )


def _check_purpose(target: Target, found: Any) -> None:
    """Refuse what is ours or a library's, and neither a hook nor a network."""
    if _is_in(target.name, _allowed):
        return
    if _is_in(target.name, _CLASSES) and not inspect.isclass(found):
        raise ConfigError(f"{target.name} is a function, and what is called there is a class", "name the class")
    if not _is_in(target.name, NETWORKS):
        return
    if not _makes_a_network(found):
        raise ConfigError(
            f"{target.name} is neither a torch.nn.Module nor a function that makes one of the library's models",
            "name the network's class, torchvision.models.NAME, or timm.create_model",
        )
    for parameter in _parameters(_builder(target, found)) or ():
        fetched = parameter.name in _FETCHING_ARGUMENTS and parameter.name not in target.arguments
        if fetched and parameter.default is not parameter.empty and parameter.default:
            raise ConfigError(
                f"{target.name} fetches weights from the network unless {parameter.name} is null",
                f"write {parameter.name}: null beside _target_; weights come through model.checkpoint",
            )


def _makes_a_network(found: Any) -> bool:
    """Whether it is a network's class, or a function that its library lists as making one."""
    from torch import nn

    if inspect.isclass(found):
        return issubclass(found, nn.Module)
    if _is_in(found.__module__, ("torchvision.models",)):
        from torchvision import models

        return found is models.get_model or found.__name__ in models.list_models()
    if _is_in(found.__module__, ("timm.models",)):
        import timm

        return found is timm.create_model or timm.is_model(found.__name__)
    return False


def _builder(target: Target, found: Any) -> Callable[..., Any]:
    """The function that makes the model: another one where torchvision.models.get_model is to find it by name."""
    from torchvision import models

    name = target.arguments.get("name")
    known = found is models.get_model and isinstance(name, str) and name in models.list_models()
    return models.get_model_builder(name) if known else found  # type: ignore[no-any-return]


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin without a signature
        return None


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
    parameters = _parameters(function)
    if parameters is None:
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
    if _is_in(target.name, _OWN):
        _check_types(target, function)


def _check_types(target: Target, function: Callable[..., Any]) -> None:
    """Check the arguments of one of our own hooks against its annotations."""
    holder = function.__init__ if inspect.isclass(function) else function
    try:
        hints = typing.get_type_hints(holder)
    except NameError:  # what only a type checker imports
        return
    for name, value in target.arguments.items():
        try:
            msgspec.convert(value, hints.get(name, Any))
        except (msgspec.ValidationError, OverflowError) as error:
            told = str(error).replace("`", "")
            raise ConfigError(f"{target.name} cannot take {name}={value!r}: {told}", f"correct {name}") from error
        except TypeError:  # an annotation of arrays and the like, which no YAML holds
            continue


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


def libraries_of(module_name: str) -> tuple[str, ...]:
    """Which of LIBRARIES a module of another package calls, itself or in the modules of its package that it imports."""
    if module_name.split(".")[0] in LIBRARIES:
        return ()
    return tuple(sorted({name for source in _sources(module_name).values() for name in _libraries_in(source)}))


@cache
def _libraries_in(source: bytes) -> frozenset[str]:
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    named = [alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module for node in imports if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return frozenset(name.split(".")[0] for name in named) & frozenset(LIBRARIES)


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
