"""Callables named in YAML: `_target_` is the dotted name, `_args_` the positional arguments, other keys are named ones.

An argument of a network, or an item of one, may itself be a callable and its arguments: it is checked as the network
is, and its result is passed. The keys are those of Hydra's `instantiate`, whose others are not supported. What may be
named is in runner.config.permissions.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import msgspec

from runner.config import moved, permissions
from runner.config.callables import Target, replaced, shown
from runner.core import ConfigError, RunnerError, offline


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
    if not isinstance(name, str) or not permissions.is_dotted(name) or "." not in name:
        raise ConfigError(
            f"{where}._target_ is {name!r:.{permissions.LONGEST_NAME}}, not the dotted name of a callable",
            f"write {where}._target_ as package.module.name, as in zoo.dqn.NatureDQN",
        )
    place = permissions.place_of(where)
    given, positional = dict(arguments or {}), []
    if place == "model.network":
        given = _parsed(given, where)
        positional = given.pop("_args_", [])
        if not isinstance(positional, list):
            raise ConfigError(f"{where}._args_ is {positional!r}, no list", f"give {where}._args_=[{positional}]")
    target = Target(name, given, place, tuple(positional))
    permissions.check_name(target, where)
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
    permissions.check_name(target)
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
    permissions.check_callable(target, resolved)
    return resolved  # type: ignore[no-any-return]


def call(target: Target, *positional: Any, **extra: Any) -> Any:
    """Import the callable, check its signature, and call it with the target's arguments and `extra`.

    Raises:
        ConfigError: the arguments do not fit the signature (the error names all that do not), or a callable among them
            refuses its own.
    """
    function = locate(target)
    _check_arguments(target, function, len(positional), extra)
    given = replaced([target.positional, target.arguments], _argument)
    with offline.guard(target.name) if permissions.builds_networks(target.name) else nullcontext():
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
    _check_arguments(target, function, positional, {})
    bound = functools.partial(function, **target.arguments)
    return functools.update_wrapper(bound, function)  # with what a decorator has attached to it


def _check_arguments(target: Target, function: Callable[..., Any], positional: int, extra: Mapping[str, Any]) -> None:
    """Check the arguments that `call` would pass, without calling: `positional` ones first, then keyword ones.

    Raises:
        ConfigError: names all unknown and missing arguments.
    """
    parameters = permissions.parameters(function)
    if parameters is None:
        return
    count = positional + len(target.positional)
    by_position = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    too_many = count > len(by_position) and not any(each.kind is each.VAR_POSITIONAL for each in parameters)
    by_name = [each for each in parameters if each not in by_position[:count]]
    given = {*target.arguments, *extra}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    unknown = [] if takes_any else sorted(given - {parameter.name for parameter in by_name})
    missing = [
        parameter.name
        for parameter in by_name
        if parameter.default is parameter.empty and parameter.kind not in variadic and parameter.name not in given
    ]
    if unknown or missing or too_many:
        wrong = [f"takes {len(by_position)} arguments by position, not {count}"] if too_many else []
        wrong += [f"has no argument {name!r}" for name in unknown]
        wrong += [f"lacks its argument {name!r}" for name in missing]
        accepted = ", ".join(map(str, by_name))
        raise ConfigError(f"{target.name} {' and '.join(wrong)}", f"it takes ({accepted})")
    if permissions.is_own(target.name):
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
                f"{target.name} cannot take {name}={shown(value)}: {reason}", f"correct {name}"
            ) from error
        except TypeError:  # annotations such as arrays, which YAML cannot hold
            continue
