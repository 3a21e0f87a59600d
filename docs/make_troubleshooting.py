"""Write docs/troubleshooting.md: every error that the source raises, with what to do about it.

python docs/make_troubleshooting.py
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from runner.core import errors

SOURCE = Path(errors.__file__).parents[1]
PAGE = Path(__file__).with_name("troubleshooting.md")
HEADINGS = {
    "Problem": "Found before the first stage",
    "ConfigError": "Configuration and command line",
    "CheckpointError": "Checkpoints",
    "DownloadError": "Downloads",
    "ExportError": "Export to ONNX, and ONNX models from outside",
    "DataError": "Data, decoding and results",
    "ToolError": "Tools and compilers",
    "OutOfMemoryError": "Memory",
    "ComparisonError": "Comparison of outputs",
    "StoreError": "Folders and files of the runner",
}
"""Class -> heading, in the order of the page."""
INTRODUCTION = """\
# Troubleshooting

Every error, with what to do about it; made from the source by `python docs/make_troubleshooting.py`. Search for a few
words of your message: what is written in CAPITALS here is filled in there. A run's `run.log` has more, and its
`result.json` holds the same message and fix in `error`. An error that says "this is a fault of the runner" is not here:
please report it with `run.log`.
"""


@dataclass(frozen=True, order=True)
class Entry:
    """An error: its class, its message and its fix, with variable parts in capitals."""

    kind: str
    message: str
    fix: str


@cache
def entries() -> frozenset[Entry]:
    """Return the errors of the whole source."""
    return frozenset(entry for path in SOURCE.rglob("*.py") for entry in _entries_of(ast.parse(path.read_text())))


def _entries_of(module: ast.Module) -> Iterator[Entry]:
    """Yield the errors that a module makes with a message of its own."""
    constants = dict(_constants(module))
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in HEADINGS:
            given = [*node.args[:2], *(keyword.value for keyword in node.keywords if keyword.arg == "fix")]
            texts = [_text(constants.get(each.id, each) if isinstance(each, ast.Name) else each) for each in given]
            if texts and any(word.islower() for word in texts[0].split()):
                yield Entry(node.func.id, texts[0], texts[1] if len(texts) > 1 else "")


def _constants(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that a module gives to constants, such as a fix that several errors share."""
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))


def _text(node: ast.expr) -> str:
    """Return the text of an expression, with what is known only in a run in capitals."""
    match node:
        case ast.Constant(value=str(value)):
            return " ".join(value.split()) if value.strip() else value
        case ast.JoinedStr(values=values):
            return " ".join("".join(_raw(value) for value in values).split())
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{_text(left)}{_text(right)}"
        case ast.IfExp(body=body, orelse=other):
            return _text(body) or _text(other)
    return _raw(node)


def _raw(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.FormattedValue(value=value):
            return _raw(value)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").upper()
        case ast.Call(func=ast.Attribute(attr="join"), args=[joined]):
            return f"{_raw(joined)}, ..."
        case ast.Call(func=ast.Name(), args=[first, *_]) | ast.Starred(value=first) | ast.Subscript(value=first):
            return _raw(first)
        case ast.Call(func=ast.Attribute(value=of)):
            return _raw(of)
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            return _raw(element)
        case ast.JoinedStr() | ast.BinOp(op=ast.Add()) | ast.IfExp():
            return _text(node)
    return "..."


def page() -> str:
    """Return the whole page."""
    by_kind = defaultdict(list)
    for entry in sorted(entries()):
        by_kind[entry.kind].append(entry)
    parts = [INTRODUCTION]
    for kind, heading in HEADINGS.items():
        rows = [f"| {_code(entry.message)} | {_code(entry.fix)} |" for entry in by_kind[kind]]
        parts.append("\n".join([f"## {heading}\n", "| message | what to do |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _code(text: str) -> str:
    """Return text as code of a Markdown table."""
    return f"`` {text.replace('|', chr(92) + '|')} ``" if text else ""


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE}: {len(entries())} errors")
