"""What callables named in YAML do wrong, as errors that name the file and the line.

A hook is code of the user's, which may do anything: raise any exception, end the program, return anything. `watched`
is where that becomes an error; which hook it was is seen in the traceback, so that no call needs a handler of its own.
"""

from __future__ import annotations

import errno
import functools
import inspect
import logging
import os
import re
import sys
import traceback
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from runner.config import permissions, targets
from runner.config.callables import Target
from runner.core import HookError, RunnerError, os_errors
from runner.core.errors import causes, text_of
from runner.core.modules import OWN_PACKAGE, is_in
from runner.core.signals import Terminated

log = logging.getLogger(__name__)

T = TypeVar("T")

_REMOTE_LINE = re.compile(r'File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>\S+)')
"""A line of the traceback that concurrent.futures brings from another process, as text."""
_OF_PATHS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG})
"""Errors that a hook's own choice of a path may cause."""


@contextmanager
def watched(*, has_log: bool = True) -> Iterator[None]:
    """Raise whatever a hook does in the block as a HookError that names its line; os._exit counts as an exception.

    An interruption, a RunnerError and what is raised without a hook are passed on. `has_log` says that logging goes to
    a run.log, which then gets the traceback.

    Raises:
        HookError: a hook raised any other exception, or ended the program.
        RunnerError: a warning was raised as an error, as with `python -W error`.
    """
    try:
        with _exits_raised():
            yield
    except RunnerError:
        raise
    except BaseException as error:
        known = None if type(error) in (KeyboardInterrupt, Terminated) else _explained(error, has_log)
        if known is None:
            raise
        if has_log:
            log.error("".join(traceback.format_exception(error)))
        raise known from error


def told(error: BaseException) -> str:
    """Return the text of an error, and the hook's line at which it was raised, if a hook raised it."""
    found = _raised_in(error)
    return text_of(error) or type(error).__name__ if found is None else f"{_kind_and_text(found[0])} (at {found[1]})"


def made(target: Target, returns: Mapping[str, type]) -> Any:
    """Return the instance that a target makes; of a user's class with its methods' and properties' results checked.

    `returns` is their types by name.
    """
    hook = targets.call(target)
    return hook if is_in(target.name, (OWN_PACKAGE,)) else _Checked(hook, returns)


class _Checked:
    """An object whose methods and properties raise HookError if they return another type than they must."""

    def __init__(self, hook: object, returns: Mapping[str, type]) -> None:
        self._hook, self._returns = hook, returns
        for name in dir(type(hook)):
            if not name.startswith("_") and callable(getattr(type(hook), name)):
                setattr(self, name, self._method(name))

    def __getattr__(self, name: str) -> Any:
        if name == "_hook":  # not set yet, as while it is unpickled
            raise AttributeError(name)
        return checked(getattr(self._hook, name), self._returns.get(name, object), type(self._hook), name)

    def _method(self, name: str) -> Callable[..., Any]:
        method, kind = getattr(self._hook, name), self._returns.get(name, object)

        @functools.wraps(method)
        def call(*positional: Any, **named: Any) -> Any:
            return checked(method(*positional, **named), kind, method)

        return call


def checked(result: Any, kind: type[T], hook: Callable[..., Any], named: str = "") -> T:
    """Return the result of a hook, or of its property of that name.

    Raises:
        HookError: it is not of this kind; of a list such as list[Problem], an item is not.
    """
    origin, items = typing.get_origin(kind) or kind, typing.get_args(kind)
    of_kind = isinstance(result, (int, float) if origin is float else origin)
    if not of_kind or not all(isinstance(each, items) for each in (result if items else ())):
        raise wrong_result(hook, f"a {type(result).__name__}", str(kind) if items else origin.__name__, named)
    return result  # type: ignore[no-any-return]


def wrong_result(hook: Callable[..., Any], got: str, wanted: str, named: str = "") -> HookError:
    """Return the error of a hook, or of its property of that name, that returned `got` in place of `wanted`."""
    name = ".".join(filter(None, [getattr(hook, "__qualname__", type(hook).__qualname__), named]))
    return HookError(f"{name} returned {got}, not {wanted}\n    at {_defined_at(hook)}", f"make it return {wanted}")


def _explained(error: BaseException, has_log: bool) -> RunnerError | None:
    """Return what to tell of what a hook raised, or of a warning; None for others, and for what the machine refused."""
    if isinstance(error, MemoryError) or _is_of_the_machine(error):
        return None
    found = _raised_in(error)
    if found is not None:
        cause, line = found
        fix = "correct it there" + ("; run.log has the traceback" if has_log else "")
        return HookError(f"{_kind_and_text(cause)}\n    at {line}", fix)
    if isinstance(error, Warning):
        return RunnerError(
            f"a warning was raised as an error: {_kind_and_text(error)}", "leave out -W error and PYTHONWARNINGS"
        )
    return None


def _raised_in(error: BaseException) -> tuple[BaseException, str] | None:
    """Return the first of the error and its causes that passed through a hook's code, and its innermost line there."""
    for cause in causes(error):
        lines = [
            f"{frame.f_code.co_filename}:{number}, in {frame.f_code.co_name}"
            for frame, number in traceback.walk_tb(cause.__traceback__)
            if _is_of_a_hook(frame.f_globals.get("__name__"))
        ]
        lines = lines or _remote_lines(cause)
        if lines:
            return cause, lines[-1]
    return None


def _remote_lines(error: BaseException) -> list[str]:
    """Return the hooks' lines of a traceback that another process sent as the text of the cause."""
    text = str(error.__cause__) if type(error.__cause__).__name__ == "_RemoteTraceback" else ""
    files = {getattr(module, "__file__", None) for name, module in list(sys.modules.items()) if _is_of_a_hook(name)}
    found = [each for each in _REMOTE_LINE.finditer(text) if each["file"] in files]
    return [f"{each['file']}:{each['line']}, in {each['function']}" for each in found]


def _is_of_a_hook(module: object) -> bool:
    return isinstance(module, str) and is_in(module, ("zoo", *permissions.allowed()))


def _is_of_the_machine(error: BaseException) -> bool:
    """Return whether the machine is to blame: a full disk, or a path that is refused to the runner's own code."""
    refused = os_errors.of_the_machine(error)
    if refused is None or refused.errno not in _OF_PATHS:
        return refused is not None
    names = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [name for name in names if _is_of_a_hook(name) or is_in(name, (OWN_PACKAGE,))]
    return not own or not _is_of_a_hook(own[-1])


def _kind_and_text(error: BaseException) -> str:
    return ": ".join(filter(None, [type(error).__name__, text_of(error)]))


def _defined_at(hook: Callable[..., Any]) -> str:
    """Return the file and line where a function, a method or the class of an instance is defined."""
    definition = inspect.unwrap(hook)
    if not (inspect.isroutine(definition) or inspect.isclass(definition)):
        definition = type(definition)
    try:
        return f"{inspect.getsourcefile(definition)}:{inspect.getsourcelines(definition)[1]}"
    except (OSError, TypeError):  # built in, or its source is gone
        return f"{getattr(definition, '__module__', 'an unknown module')}"


@contextmanager
def _exits_raised() -> Iterator[None]:
    """Raise SystemExit where a hook calls os._exit in this process, so that its run still writes what came of it."""
    process, leave = os.getpid(), os._exit

    def raise_exit(status: int) -> NoReturn:
        frame = inspect.currentframe()
        while frame is not None and os.getpid() == process:
            if _is_of_a_hook(frame.f_globals.get("__name__")):
                raise SystemExit(f"os._exit({status})")
            frame = frame.f_back
        leave(status)  # in a forked child, and from elsewhere

    os._exit = raise_exit
    try:
        yield
    finally:
        os._exit = leave
