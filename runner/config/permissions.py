"""Which callables a configuration may name, and where.

YAML may come from an untrusted folder, so only what is listed here is imported or called: the runner's own hooks, each
in its place; networks in zoo/, timm, torchvision and torch.nn; and packages that the user allows on the command
line.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from runner.config import moved
from runner.config.callables import Target
from runner.core import ConfigError
from runner.core.lazy import timm, torch, torchvision
from runner.core.modules import LIBRARIES, is_in

LONGEST_NAME = 300
"""Characters of a callable's dotted name: a thousand parts would be imported within each other."""
NETWORKS = ("timm", "torchvision", "torch.nn")
"""Libraries whose networks may be named."""
OWN_HOOKS = {
    "dataset.metrics": ("runner.tasks",),
    "dataset.preview": ("runner.tasks",),
    "dataset.reference_metrics": ("runner.tasks",),
    "dataset.reader": ("runner.tasks", "runner.data"),
    "model.checkpoint.adapt": ("runner.networks.libraries.adapt_timm_checkpoint",),
    "model.decode": ("runner.tasks",),
    "model.network": ("runner.networks.libraries.build_torchvision", "runner.networks.libraries.build_smp"),
    "model.surgery": ("runner.graph.surgery",),
    "tool.adapter": ("runner.tools",),
    "tool.compiler": ("runner.tools",),
}
"""Place in the configuration -> the runner's own packages for it; zoo/ and allowed packages may be used in any place.

Other functions of these packages may be harmful, such as runner.tools.command_line.run: see `_check_purpose`.
"""
METHODS = {
    "dataset.reader": ("validate", "content", "stored_bytes", "write"),
    "tool.adapter": ("version", "excluded_from_key", "validate", "measuring", "commands", "infer", "measure"),
    "tool.compiler": ("version", "excluded_from_key", "validate", "commands", "compile"),
}
"""Place in the configuration -> the methods that the class named there must have."""
_OWN = tuple(dict.fromkeys(package for packages in OWN_HOOKS.values() for package in packages))
_LIBRARIES = ("runner.networks.libraries", *NETWORKS)
"""Packages whose callables build networks of libraries."""
_CLASSES = ("runner.data", "runner.tools")
"""Packages in which hooks are classes; their functions may not be named."""
_GUARDED = ("zoo", *_LIBRARIES)
"""Packages whose callables build networks, and need no file and no connection for it."""
_FETCHING_ARGUMENTS = frozenset({"checkpoint_path", "pretrained", "pretrained_backbone", "weights", "weights_backbone"})
"""Arguments of the libraries' models that load a file, which may contain code, or download one."""
_LOADING_ARGUMENT = re.compile(
    r"(?:^|_)(?:pretrained(?:_(?:backbone|cfg|cfg_overlay|file|model|url|weights))?|checkpoint|hub_id|state_dict|ur[il]|"
    r"file|filename|cache_dir|folder|(?<!drop_)path)$"
)
"""Names, in any library, of what is loaded and of where it lies; `drop_path` is a probability."""
_PLACE = re.compile(r"[/\\:~]")
"""Characters that a path or an address has, and no choice of a network's."""
_PLAIN_TEXT = re.compile(r"[A-Za-z0-9_.,+ -]*")
"""Names of parts, and choices. torch.fx writes names of parts into Python code between quotation marks, and runs it:
https://github.com/pytorch/pytorch/blob/main/torch/fx/graph.py, `_format_target`."""
_MODEL_NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""A model in timm itself; `hf-hub:` and `local-dir:` load a model and its weights from elsewhere."""

_allowed: list[str] = []


def allow(packages: Sequence[str]) -> None:
    """Allow `_target_` to name these packages too, replacing those of an earlier call.

    Raises:
        ConfigError: one is not a package name.
    """
    for package in packages:
        if not is_dotted(package):
            raise ConfigError(f"allow names {package!r}, which is no package", "give names, as in allow=[my_package]")
    _allowed[:] = packages


def allowed() -> tuple[str, ...]:
    """Return the packages that the user additionally allows."""
    return tuple(_allowed)


def place_of(where: str) -> str:
    """Return the place that a key belongs to, as `dataset.metrics` of `dataset.metrics.top1`; else the key itself."""
    return next((place for place in OWN_HOOKS if where.startswith(f"{place}.")), where)


def is_dotted(name: str) -> bool:
    """Return whether a name is one of Python's, with dots or without, and of reasonable length."""
    return len(name) <= LONGEST_NAME and all(part.isidentifier() for part in name.split("."))


def is_own(name: str) -> bool:
    """Return whether a callable is one of the runner's own hooks."""
    return is_in(name, _OWN)


def builds_networks(name: str) -> bool:
    """Return whether a callable only builds a network, and needs no file and no connection for it."""
    return is_in(name, _GUARDED) and not is_in(name, allowed())


def check_name(target: Target, where: str = "") -> None:
    """Check the name and the arguments before importing, since importing a module runs its code.

    `where` is the key that holds it; without one, what any place allows is allowed.

    Raises:
        ConfigError: the name moved, it may not be called there, or an argument may load weights or hold code.
    """
    subject = f"{where or 'the configuration'} names"
    own = OWN_HOOKS.get(target.place, ()) if where else _OWN
    libraries = NETWORKS if target.place == "model.network" or not where else ()
    choices = ("zoo", *own, *libraries, *_allowed)
    if target.name in moved.CALLABLES:
        new = moved.CALLABLES[target.name]
        raise ConfigError(f"{subject} {target.name}, which is now {new}", f"write _target_: {new}")
    if not is_in(target.name, choices):
        top = target.name.split(".")[0]
        hint = "" if top in ("zoo", "runner", *LIBRARIES) else f", or allow a package of yours: allow=[{top}]"
        raise ConfigError(
            f"{subject} {target.name}, which may not be called there", f"name something in {', '.join(choices)}{hint}"
        )
    if is_in(target.name, _LIBRARIES) and not is_in(target.name, allowed()):
        _check_library_arguments(target.name, target.arguments)


def check_callable(target: Target, resolved: Any) -> None:
    """Check what the target's name stands for, once it is imported.

    Raises:
        ConfigError: it is defined in another package, it serves another purpose, or it lacks methods of its place.
    """
    _check_origin(target, resolved)
    _check_purpose(target, resolved)
    _check_methods(target, resolved)


def _check_library_arguments(name: str, arguments: Mapping[str, Any]) -> None:
    for argument, value in _named_values(arguments):
        loads = argument in _FETCHING_ARGUMENTS or _LOADING_ARGUMENT.search(argument) is not None
        if (loads and value) or (isinstance(value, str) and argument != "model_name" and _PLACE.search(value)):
            raise ConfigError(
                f"{name} is given {argument}={value!r}, by which the library itself would load weights",
                "leave it out: weights come through model.checkpoint, or weights=PATH",
            )
        for text in (argument, value):
            if isinstance(text, str) and not _PLAIN_TEXT.fullmatch(text):
                raise ConfigError(
                    f"{name} is given the text {text!r}, and what names a part of a network or a choice of it is plain",
                    "write it with letters, digits, spaces, and _ . , + - alone",
                )
    model = arguments.get("model_name", "resnet50")
    if not isinstance(model, str) or not _MODEL_NAME.fullmatch(model):
        raise ConfigError(
            f"{name} is given model_name={model!r}, which is no plain name of a model that timm holds itself",
            "name one of timm.list_models(): others are fetched from elsewhere, with their weights",
        )


def _named_values(arguments: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arguments at any depth but within nested targets, with the names nearest to them."""
    if isinstance(arguments, Mapping):
        for key, value in arguments.items():
            yield str(key), value
            yield from _named_values(value, str(key))
    elif isinstance(arguments, (list, tuple)):
        for value in arguments:
            yield name, value
            yield from _named_values(value, name)


def _check_origin(target: Target, resolved: Any) -> None:
    """Reject what a module only imports from elsewhere, such as torchvision.io.os.system."""
    origin = getattr(resolved, "__module__", None)
    of_code = inspect.isclass(resolved) or inspect.isroutine(resolved)
    if of_code and isinstance(origin, str) and is_in(origin, (*_GUARDED, *_OWN, *_allowed)):
        return
    raise ConfigError(
        f"{target.name} is defined in {origin!r} and not in a package that may be called from a configuration",
        "name a class or a function where it is defined",
    )


def _check_purpose(target: Target, resolved: Any) -> None:
    """Allow the runner's hooks only in their places, and from libraries only what builds networks."""
    if is_in(target.name, allowed()):
        return
    if is_in(target.name, _CLASSES) and not inspect.isclass(resolved):
        raise ConfigError(f"{target.name} is a function, and what is called there is a class", "name the class")
    if is_in(target.name, ("runner.tasks",)) and not _serves(target.place, resolved):
        raise ConfigError(
            f"{target.name} is not made to be called as {target.place or 'a hook'}",
            "name a reader's class, a metric, a decoder or a preview, each in its place",
        )
    if is_in(target.name, NETWORKS):
        _check_network(target, resolved)


def _check_network(target: Target, resolved: Any) -> None:
    """Allow what a library builds a network with, unless it would load weights itself."""
    if not _makes_a_network(resolved):
        raise ConfigError(
            f"{target.name} is neither a torch.nn.Module nor a function that makes one of the library's models",
            "name the network's class, torchvision.models.NAME, or timm.create_model",
        )
    _check_positional(target, resolved)
    taken = parameters(_builder(target, resolved)) or []
    loading = [each.name for each in taken if _LOADING_ARGUMENT.search(each.name)]
    if inspect.isclass(resolved) and loading:
        raise ConfigError(
            f"{target.name} can load weights itself, by {', '.join(loading)}", "name a network's class that cannot"
        )
    for parameter in taken:
        fetched = parameter.name in _FETCHING_ARGUMENTS and parameter.name not in target.arguments
        if fetched and parameter.default is not parameter.empty and parameter.default:
            raise ConfigError(
                f"{target.name} fetches weights from the network unless {parameter.name} is null",
                f"write {parameter.name}: null beside _target_; weights come through model.checkpoint",
            )


def _check_positional(target: Target, resolved: Any) -> None:
    """Reject positional arguments by which a library would load weights itself."""
    if target.positional and not inspect.isclass(resolved):
        raise ConfigError(
            f"{target.name} is given arguments without names, _args_", "give them by their names: it is a function"
        )
    names = [parameter.name for parameter in parameters(resolved) or ()]
    names += [f"argument {position}" for position in range(len(names), len(target.positional))]
    _check_library_arguments(target.name, dict(zip(names, target.positional, strict=False)))


def _serves(place: str, resolved: Any) -> bool:
    """Return whether a task's hook has the kind that its place in the configuration requires."""
    if getattr(resolved, "_is_protocol", False) or inspect.isabstract(resolved):
        return False
    if place == "dataset.preview":
        return str(resolved.__module__).endswith(".preview")
    if place == "model.decode":
        called = inspect.getattr_static(resolved, "__call__", None) if inspect.isclass(resolved) else resolved
        return inspect.isfunction(called) and {"outputs", "rows"} <= set(inspect.signature(called).parameters)
    return inspect.isclass(resolved) or (place != "dataset.reader" and hasattr(resolved, "figure"))


def _check_methods(target: Target, resolved: Any) -> None:
    """Reject a class that lacks required methods; the error names methods that were renamed."""
    lacking = [name for name in METHODS.get(target.place, ()) if not hasattr(resolved, name)]
    if not lacking or not inspect.isclass(resolved):
        return
    renamed = [f"{old} is now {new}" for old, new in moved.METHODS.items() if new in lacking and hasattr(resolved, old)]
    raise ConfigError(
        f"{target.place} names {target.name}, which lacks {', '.join(lacking)}",
        f"rename its methods: {', '.join(renamed)}" if renamed else f"name a class that has {', '.join(lacking)}",
    )


def _makes_a_network(resolved: Any) -> bool:
    """Return whether it is a network class, or a function that its library lists as a model builder."""
    if inspect.isclass(resolved):
        return issubclass(resolved, torch.nn.Module)
    if is_in(resolved.__module__, ("torchvision.models",)):
        models = torchvision.models
        return resolved is models.get_model or resolved.__name__ in models.list_models()
    if is_in(resolved.__module__, ("timm.models",)):
        return resolved is timm.create_model or timm.is_model(resolved.__name__)
    return False


def _builder(target: Target, resolved: Any) -> Callable[..., Any]:
    """Return the function that builds the model; torchvision.models.get_model is resolved to the named builder."""
    models = torchvision.models
    name = target.arguments.get("name")
    known = resolved is models.get_model and isinstance(name, str) and name in models.list_models()
    return models.get_model_builder(name) if known else resolved  # type: ignore[no-any-return]


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Return what a function takes; None for a builtin that does not tell."""
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:
        return None
