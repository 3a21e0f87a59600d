"""Options of ONNX Runtime that a user gives by name: checked before a run, and spelt as it takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.core import Problem, did_you_mean
from runner.core.lazy import onnxruntime

OWN = {
    "intra_op_num_threads": "give tool.adapter.threads",
    "enable_profiling": "give benchmark.profile=true",
    "profile_file_prefix": "leave it out",
}
"""Attributes of SessionOptions that the runner sets -> what to give instead."""


def value_problems(where: str, options: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of values that have no spelling."""
    for name, value in options.items():
        if not isinstance(value, (str, int, float, bool)):
            yield Problem(f"tool.{where}.{name} is {value!r}", "give a text, a number, true or false")


def session_problems(given: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of session options: attributes of SessionOptions, and entries, whose names have a dot."""
    if not given:
        return
    yield from value_problems("session_options", {name: value for name, value in given.items() if "." in name})
    options = onnxruntime.SessionOptions()
    known = [name for name in dir(options) if not name.startswith("_") and not callable(getattr(options, name))]
    for name in given:
        path = f"tool.session_options.{name}"
        if name in OWN:
            yield Problem(f"{path} is given, which the runner sets", OWN[name])
        elif name in known:
            yield from _attribute_problems(path, name, given[name], options)
        elif "." not in name:
            hint = did_you_mean(name, known, 1) or f"choose from {', '.join(known)}"
            yield Problem(f"{path} is no attribute of SessionOptions", f"{hint}; names of other entries have a dot")


def _attribute_problems(path: str, name: str, value: Any, options: Any) -> Iterator[Problem]:
    kind = type(getattr(options, name))
    choices = _members(kind)
    if choices and value not in list(choices):  # it may have no hash
        yield Problem(f"{path} is {value!r}", f"choose from {', '.join(choices)}")
    elif not choices and type(value) is not kind:
        yield Problem(f"{path} is {value!r}", f"give a value of type {kind.__name__}")
    else:
        try:
            apply(options, {name: value})
        except Exception:  # its exceptions have no common base class
            yield Problem(f"{path} is {value!r}, which ONNX Runtime refuses", "give a value in its range")


def apply(options: Any, given: Mapping[str, Any]) -> None:
    """Set session options on a SessionOptions."""
    for name, value in given.items():
        if "." in name:
            options.add_session_config_entry(name, text(value))
        else:
            setattr(options, name, _members(type(getattr(options, name))).get(value, value))


def text(value: Any) -> str:
    """Return a value as ONNX Runtime's options take it: true as 1."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _members(kind: type) -> Mapping[str, Any]:
    """Return the members of an enumeration of ONNX Runtime by name; none of another type."""
    return getattr(kind, "__members__", {})
