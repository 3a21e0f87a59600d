"""What an interpreter's ais_bench can do, found without importing it: its source says which flags it takes.

Two lines of ais_bench are in use, and both call themselves 0.0.2 (github.com/Ascend/tools at 9d6da90, and
github.com/Ascend/msit, ait/components/benchmark), so what counts is what is there, not the version. Another interpreter
runs this file as a program, so it imports the standard library alone, and keeps to Python 3.7.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def description() -> Mapping[str, Any]:
    """Return what is importable here, the version of ais_bench if known, and its flags, without dashes.

    Another package of that name, ais_bench_benchmark, evaluates language models and has no `ais_bench.infer`.
    """
    parser = _source("ais_bench.infer.__main__")
    return {
        "ais_bench": _source("ais_bench.__main__") is not None and parser is not None,
        "aclruntime": _is_importable("aclruntime"),
        "ais_bench_version": _version("ais_bench"),
        "evaluates_language_models": _is_importable("ais_bench.benchmark"),
        "pkg_resources": _is_importable("pkg_resources"),
        "flags": flags_of(parser) if parser is not None else [],
    }


def flags_of(source: Path) -> list[str]:
    """Return the long flags, without dashes, that a Python file gives to `add_argument`; none if it is unreadable."""
    try:
        tree = ast.parse(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [
        argument
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"
        for argument in map(_literal, call.args)
    ]
    return sorted({name[2:] for name in names if isinstance(name, str) and name.startswith("--")})


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _is_importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # the package around it is not there, or is no package
        return False


def _source(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return None if spec is None or spec.origin is None else Path(spec.origin)


def _version(name: str) -> str | None:
    try:
        metadata = importlib.import_module("importlib.metadata")
    except ImportError:  # Python 3.7
        return None
    try:
        return str(metadata.version(name))
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    print(json.dumps(description()))
