"""Callables named in YAML: `_target_` is the dotted name, `_args_` the positional arguments, other keys are named ones.

An argument of a network, or an item of one, may itself be a callable and its arguments: it is checked as the network
is, and its result is passed. The keys are those of Hydra's `instantiate`, whose others are not supported.

YAML may come from an untrusted folder, so only what is listed here is imported or called: the runner's own hooks, each
in its place; networks in zoo/, timm, torchvision and torch.nn; and packages that the user allows on the command
line.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec

from runner.config import moved
from runner.core import ConfigError, RunnerError, offline
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
_CLASSES = ("runner.data", "runner.tools")
"""Packages in which hooks are classes; their functions may not be named."""
_GUARDED = ("zoo", "runner.networks.libraries", *NETWORKS)
"""Packages whose callables build networks, and need no file and no connection for it."""
_DEFINING = (*_OWN, "runner.networks.libraries")
"""Packages that define the runner's own callables."""
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
        if not _is_dotted(package):
            raise ConfigError(f"allow names {package!r}, which is no package", "give names, as in allow=[my_package]")
    _allowed[:] = packages


def allowed() -> tuple[str, ...]:
    """Return the packages that the user additionally allows."""
    return tuple(_allowed)


@dataclass(frozen=True)
class Target:
    """A callable by name, its arguments, and its place in the configuration, such as `dataset.reader`.

    Arguments of a network, and items of them, may be targets, whose results are passed in their place.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    place: str = field(default="", compare=False)
    positional: tuple[Any, ...] = ()

    def __str__(self) -> str:
        """As a call in Python: `torch.nn.Linear(3, out_features=4)`."""
        given = [*map(_shown, self.positional), *(f"{name}={_shown(each)}" for name, each in self.arguments.items())]
        return f"{self.name}({', '.join(given)})"


def _shown(argument: Any) -> str:
    return str(argument) if isinstance(argument, Target) else repr(_replaced(argument, str))


def _replaced(argument: Any, replacement: Callable[[Target], Any]) -> Any:
    """Return an argument with `replacement` of each target in place of it, in lists and mappings too."""
    if isinstance(argument, Target):
        return replacement(argument)
    if isinstance(argument, Mapping):
        return {key: _replaced(value, replacement) for key, value in argument.items()}
    if isinstance(argument, (list, tuple)):
        return [_replaced(value, replacement) for value in argument]
    return argument


def with_nested(target: Target) -> Iterator[Target]:
    """Yield the target, and those among its arguments at any depth."""
    yield target
    nested: list[Target] = []
    _replaced([target.positional, target.arguments], nested.append)
    for each in nested:
        yield from with_nested(each)


def parse(node: Mapping[str, Any], where: str) -> Target:
    """Split a YAML node into the callable's name and its arguments, and so those of a network that have a `_target_`.

    Raises:
        ConfigError: `_target_` is missing, not a dotted name, or not allowed at `where`; or `_args_` is no list.
    """
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where} is {node!r}, not a callable and its arguments", f"give {where}._target_=NAME")
    return named(node.get("_target_"), where, {key: value for key, value in node.items() if key != "_target_"})


def named(name: object, where: str, arguments: Mapping[str, Any] | None = None) -> Target:
    """Return a target from a name and arguments, checked as far as possible without importing it.

    Raises:
        ConfigError: a name, its own or one among the arguments, is not dotted, or not allowed at `where`; or `_args_`
            is no list.
    """
    if not isinstance(name, str) or not _is_dotted(name) or "." not in name:
        raise ConfigError(
            f"{where}._target_ is {name!r:.{LONGEST_NAME}}, not the dotted name of a callable",
            f"write {where}._target_ as package.module.name, as in zoo.dqn.NatureDQN",
        )
    place = next((known for known in OWN_HOOKS if where.startswith(f"{known}.")), where)
    given, positional = dict(arguments or {}), []
    if place == "model.network":
        given = _parsed(given, where)
        positional = given.pop("_args_", [])
        if not isinstance(positional, list):
            raise ConfigError(f"{where}._args_ is {positional!r}, no list", f"give {where}._args_=[{positional}]")
    target = Target(name, given, place, tuple(positional))
    libraries = NETWORKS if place == "model.network" else ()
    _check_name(target, f"{where} names", (*OWN_HOOKS.get(place, ()), *libraries))
    return target


def _parsed(argument: Any, where: str) -> Any:
    """Return an argument with a target in place of each mapping that has a `_target_`."""
    if isinstance(argument, Mapping):
        if "_target_" in argument:
            return parse(argument, where)
        return {key: _parsed(value, f"{where}.{key}") for key, value in argument.items()}
    if isinstance(argument, (list, tuple)):
        return [_parsed(value, f"{where}[{index}]") for index, value in enumerate(argument)]
    return argument


def locate(target: Target) -> Callable[..., Any]:
    """Import and return the callable.

    Raises:
        ConfigError: it is not allowed, its module or name does not exist, or it is not callable.
    """
    _check_name(target, "the configuration names", (*_OWN, *NETWORKS))
    module_name, _, attribute = target.name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        new = moved.new_module(error.name or "")
        raise ConfigError(
            f"{target.name}: there is no module {error.name!r}",
            f"it moved: import from {new}"
            if new
            else f"correct the name, or install the package that holds {module_name}",
        ) from error
    except Exception as error:  # a user's module may raise anything
        raise ConfigError(
            f"{target.name} cannot be imported: {type(error).__name__}: {error}",
            f"correct {module_name}; CHANGELOG.md lists which names of the runner moved",
        ) from error
    resolved = getattr(module, attribute, None)
    if not callable(resolved) or attribute.startswith("_"):
        choices = sorted(name for name, value in vars(module).items() if callable(value) and not name.startswith("_"))
        raise ConfigError(
            f"{target.name}: {module_name} has no callable {attribute!r}",
            f"it has: {', '.join(choices[:40])}",
        )
    _check_origin(target, resolved)
    _check_purpose(target, resolved)
    _check_methods(target, resolved)
    return resolved  # type: ignore[no-any-return]


def _is_dotted(name: str) -> bool:
    return len(name) <= LONGEST_NAME and all(part.isidentifier() for part in name.split("."))


def _check_name(target: Target, subject: str, packages: tuple[str, ...]) -> None:
    """Check the name and the arguments before importing, since importing a module runs its code."""
    choices = ("zoo", *packages, *_allowed)
    if target.name in moved.CALLABLES:
        new = moved.CALLABLES[target.name]
        raise ConfigError(f"{subject} {target.name}, which is now {new}", f"write _target_: {new}")
    if not is_in(target.name, choices):
        top = target.name.split(".")[0]
        hint = "" if top in ("zoo", "runner", *LIBRARIES) else f", or allow a package of yours: allow=[{top}]"
        raise ConfigError(
            f"{subject} {target.name}, which may not be called there", f"name something in {', '.join(choices)}{hint}"
        )
    if is_in(target.name, (*NETWORKS, "runner.networks.libraries")) and not is_in(target.name, tuple(_allowed)):
        _check_library_arguments(target)


def _check_library_arguments(target: Target) -> None:
    for argument, value in _named_values(target.arguments):
        loads = argument in _FETCHING_ARGUMENTS or _LOADING_ARGUMENT.search(argument) is not None
        if (loads and value) or (isinstance(value, str) and argument != "model_name" and _PLACE.search(value)):
            raise ConfigError(
                f"{target.name} is given {argument}={value!r}, by which the library itself would load weights",
                "leave it out: weights come through model.checkpoint, or weights=PATH",
            )
        for text in (argument, value):
            if isinstance(text, str) and not _PLAIN_TEXT.fullmatch(text):
                raise ConfigError(
                    f"{target.name} is given the text {text!r}, and what names a part of a network or a choice of it "
                    "is plain",
                    "write it with letters, digits, spaces, and _ . , + - alone",
                )
    model = target.arguments.get("model_name", "resnet50")
    if not isinstance(model, str) or not _MODEL_NAME.fullmatch(model):
        raise ConfigError(
            f"{target.name} is given model_name={model!r}, which is no plain name of a model that timm holds itself",
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
    if of_code and isinstance(origin, str) and is_in(origin, ("zoo", *_DEFINING, *NETWORKS, *_allowed)):
        return
    raise ConfigError(
        f"{target.name} is defined in {origin!r} and not in a package that may be called from a configuration",
        "name a class or a function where it is defined",
    )


def _check_purpose(target: Target, resolved: Any) -> None:
    """Allow the runner's hooks only in their places, and from libraries only what builds networks."""
    if is_in(target.name, tuple(_allowed)):
        return
    if is_in(target.name, _CLASSES) and not inspect.isclass(resolved):
        raise ConfigError(f"{target.name} is a function, and what is called there is a class", "name the class")
    if is_in(target.name, ("runner.tasks",)) and not _serves(target.place, resolved):
        raise ConfigError(
            f"{target.name} is not made to be called as {target.place or 'a hook'}",
            "name a reader's class, a metric, a decoder or a preview, each in its place",
        )
    if not is_in(target.name, NETWORKS):
        return
    if not _makes_a_network(resolved):
        raise ConfigError(
            f"{target.name} is neither a torch.nn.Module nor a function that makes one of the library's models",
            "name the network's class, torchvision.models.NAME, or timm.create_model",
        )
    _check_positional(target, resolved)
    parameters = _parameters(_builder(target, resolved)) or []
    loading = [each.name for each in parameters if _LOADING_ARGUMENT.search(each.name)]
    if inspect.isclass(resolved) and loading:
        raise ConfigError(
            f"{target.name} can load weights itself, by {', '.join(loading)}", "name a network's class that cannot"
        )
    for parameter in parameters:
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
    names = [parameter.name for parameter in _parameters(resolved) or ()]
    names += [f"argument {position}" for position in range(len(names), len(target.positional))]
    _check_library_arguments(Target(target.name, dict(zip(names, target.positional, strict=False))))


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


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:  # a builtin without a signature
        return None


def call(target: Target, *positional: Any, **extra: Any) -> Any:
    """Import the callable, check its signature, and call it with the target's arguments and `extra`.

    Raises:
        ConfigError: the arguments do not fit the signature (the error names all that do not), or a callable among them
            refuses its own.
    """
    function = locate(target)
    check_arguments(target, function, len(positional), extra)
    given = _replaced([target.positional, target.arguments], _argument)
    is_trusted = is_in(target.name, tuple(_allowed)) or not is_in(target.name, _GUARDED)
    with nullcontext() if is_trusted else offline.guard(target.name):
        return function(*positional, *given[0], **given[1], **extra)


def _argument(target: Target) -> Any:
    """Return the result of a callable that is an argument of another."""
    try:
        return call(target)
    except RunnerError:
        raise
    except Exception as error:  # a user's code may raise anything
        raise ConfigError(
            f"{target} cannot be made: {type(error).__name__}: {error}", f"correct the arguments of {target.name}"
        ) from error


def bind(target: Target, positional: int) -> Callable[..., Any]:
    """Bind the target's arguments: return an instance of a class, or a partial function.

    Raises:
        ConfigError: the arguments do not fit the signature; the error names all that do not.
    """
    function = locate(target)
    if inspect.isclass(function):
        return call(target)  # type: ignore[no-any-return]
    check_arguments(target, function, positional, {})
    bound = functools.partial(function, **target.arguments)
    return functools.update_wrapper(bound, function)  # with what a decorator has attached to it


def check_arguments(target: Target, function: Callable[..., Any], positional: int, extra: Mapping[str, Any]) -> None:
    """Check the arguments that `call` would pass, without calling: `positional` ones first, then keyword ones.

    Raises:
        ConfigError: names all unknown and missing arguments.
    """
    parameters = _parameters(function)
    if parameters is None:
        return
    count = positional + len(target.positional)
    by_position = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    too_many = count > len(by_position) and not any(each.kind is each.VAR_POSITIONAL for each in parameters)
    named = [each for each in parameters if each not in by_position[:count]]
    given = {*target.arguments, *extra}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    unknown = [] if takes_any else sorted(given - {parameter.name for parameter in named})
    missing = [
        parameter.name
        for parameter in named
        if parameter.default is parameter.empty and parameter.kind not in variadic and parameter.name not in given
    ]
    if unknown or missing or too_many:
        wrong = [f"takes {len(by_position)} arguments by position, not {count}"] if too_many else []
        wrong += [f"has no argument {name!r}" for name in unknown]
        wrong += [f"lacks its argument {name!r}" for name in missing]
        accepted = ", ".join(str(parameter) for parameter in named)
        raise ConfigError(f"{target.name} {' and '.join(wrong)}", f"it takes ({accepted})")
    if is_in(target.name, _OWN):
        _check_types(target, function)


def _check_types(target: Target, function: Callable[..., Any]) -> None:
    """Check the arguments of one of the runner's own hooks against its type annotations."""
    holder = function.__init__ if inspect.isclass(function) else function
    for name, value in target.arguments.items():
        annotation = holder.__annotations__.get(name, Any)
        try:  # of the arguments given only: others, such as arrays, may need a heavy package
            hint = typing.get_type_hints(SimpleNamespace(__annotations__={name: annotation}), holder.__globals__)[name]
        except NameError:  # a name that is imported for type checking only
            continue
        try:
            msgspec.convert(value, hint)
        except (msgspec.ValidationError, OverflowError) as error:
            reason = str(error).replace("`", "")
            raise ConfigError(
                f"{target.name} cannot take {name}={_shown(value)}: {reason}", f"correct {name}"
            ) from error
        except TypeError:  # annotations such as arrays, which YAML cannot hold
            continue
