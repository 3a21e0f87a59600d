"""The keys of a configuration, read from the source of runner.config.schema without importing it, which takes Hydra."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from runner.config import groups
from runner.core import did_you_mean

SEE_ALL = "`python -m runner --cfg job model=NAME` shows every key"
PATHS = (
    *("weights", "compiled", "dataset.root", "dataset.labels", "cache_dir", "hydra.run.dir", "hydra.sweep.dir"),
    *("tool.python", "tool.script", "tool.program", "tool.environment_script"),
)
"""Keys whose value is a path."""
_SCHEMA = Path(__file__).with_name("schema.py")
_ROOT = "RunConfig"


@dataclass(frozen=True)
class Key:
    """A key of the schema: its annotation as written there, and the values that it is limited to, if any."""

    annotation: str
    choices: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether keys below it are not in the schema: a mapping or a list."""
        return any(kind in self.annotation for kind in ("dict[", "list[", "Any"))

    @property
    def takes_list(self) -> bool:
        """Whether its value is a list."""
        return self.annotation.removeprefix("Optional[").startswith("list[")


@cache
def known() -> Mapping[str, Key]:
    """Return every key of the schema by its name, such as benchmark.min_seconds, those that hold others included."""
    tree = ast.parse(_SCHEMA.read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return dict(_keys(classes, dict(_aliases(tree)), _ROOT, ""))


def problem(name: str) -> str | None:
    """Return what is wrong with a key, with the most similar one; None if it may exist."""
    keys = known()
    parts = name.split(".")
    stems = (".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))
    if name in keys or any(stem in keys and keys[stem].is_open for stem in stems):
        return None
    return absent(name, [*keys, *groups.names()])


def absent(name: str, names: Sequence[str]) -> str:
    """Return the message about a key that does not exist, with the most similar of `names`."""
    hint = did_you_mean(name, names, 1)
    return f"there is no key {name}" + (f"; {hint}" if hint else "")


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the names that stand for another name, such as Text for Any, with that."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            yield from ((target.id, node.value.id) for target in node.targets if isinstance(target, ast.Name))


def _keys(
    classes: Mapping[str, ast.ClassDef], aliases: Mapping[str, str], holder: str, prefix: str
) -> Iterator[tuple[str, Key]]:
    for field in classes[holder].body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        name, written = prefix + field.target.id, ast.unparse(field.annotation)
        annotation = aliases.get(written, written)
        yield name, Key(annotation, _choices(field.value))
        nested = annotation.removeprefix("Optional[").removesuffix("]")
        if nested in classes:
            yield from _keys(classes, aliases, nested, f"{name}.")


def _choices(default: ast.expr | None) -> tuple[str, ...]:
    """Return the arguments of runner.core.one_of, if the field is declared by that."""
    if isinstance(default, ast.Call) and isinstance(default.func, ast.Name) and default.func.id == "one_of":
        return tuple(str(ast.literal_eval(argument)) for argument in default.args if isinstance(argument, ast.Constant))
    return ()
