"""Any YAML value for any key of the schema: a run that could begin, or a typed error."""

from __future__ import annotations

import dataclasses
import itertools
import typing
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, OmegaConfBaseException

from runner.config import compose, loading, schema
from runner.config.groups import CONF
from runner.core import RunnerError
from runner.pipeline import plan, preflight
from runner.pipeline.setup import Setup
from runner.store import Store
from tests.fuzz.values import values

pytestmark = pytest.mark.fuzz

GROUPS = {"model": "dqn", "dataset": "synthetic_images", "soc": "310P3", "tool": "ais_bench"}
counter = itertools.count()


def keys_of(kind: type, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        yield (*path, field.name)
        if dataclasses.is_dataclass(hints[field.name]):
            yield from keys_of(typing.cast(type, hints[field.name]), (*path, field.name))


KEYS = [path for path in keys_of(schema.RunConfig) if path[0] != "batch"]
FURTHER = [
    *[("model", "network", name) for name in ("_target_", "actions", "x")],
    *[("model", "inputs", 0, name) for name in ("name", "shape", "dtype")],
    *[("dataset", "reader", name) for name in ("_target_", "count", "width", "classes", "seed")],
    *[("tool", "adapter", name) for name in ("_target_", "loop", "python", "mode", "timeout_seconds")],
    *[("dataset", "metrics", "top1"), ("model", "atc", "input_format"), ("tool", "compiler", "_target_")],
]


@cache
def option(group: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CONF / group / f"{GROUPS[group]}.yaml").read_text())
    return {key: value for key, value in content.items() if key != "defaults"}


def with_value(content: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy with one value set."""
    if not path:
        return value
    if isinstance(content, list):
        return [with_value(content[0], path[1:], value), *content[1:]] if content else [value]
    inner = content if isinstance(content, dict) else {}
    return {**inner, path[0]: with_value(inner.get(str(path[0])), path[1:], value)}


def go(folder: Path, composed: DictConfig) -> None:
    """What a run does before its first stage."""
    setup = Setup(loading.load(composed))
    store = Store(folder / "cache", "fuzz")
    if not preflight.find_problems(setup, store):
        plan.plan(setup, store.hash_files)


def try_out(folder: Path, group: str, content: dict[str, Any], arguments: list[str]) -> None:
    here = folder / str(next(counter))
    (here / group).mkdir(parents=True)
    text = yaml.dump(content, allow_unicode=True)
    (here / group / "fuzz.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    chosen = [f"{each}={'fuzz' if each == group else name}" for each, name in GROUPS.items()]
    before = {path.name for path in folder.iterdir()}
    try:
        go(here, compose.compose(["--config-dir", str(here), *chosen, *arguments]))
    except RunnerError as error:
        assert error.message.strip()
    assert {path.name for path in folder.iterdir()} == before
    assert {path.name for path in here.iterdir()} <= {group, "cache"}


@cache
def composed_once() -> DictConfig:
    return compose.compose(["model=dqn", "dataset=synthetic_images", "weights=random"])


@given(changes=st.lists(st.tuples(st.sampled_from([*KEYS, *FURTHER]), values), min_size=1, max_size=3))
@settings(max_examples=100)
def test_any_values_merged_as_hydra_merges_them(
    changes: list[tuple[tuple[str | int, ...], Any]], tmp_path: Path, at_home: None
) -> None:
    merged = composed_once().copy()
    for path, value in changes:
        dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        try:
            OmegaConf.update(merged, dotted, value, merge=True, force_add=True)
        except (OmegaConfBaseException, AssertionError, AttributeError, TypeError, ValueError, GrammarParseError):
            return  # composing tells these, as the other tests see
    with suppress(RunnerError):
        go(tmp_path, merged)


@given(path=st.sampled_from([path for path in [*KEYS, *FURTHER] if path[0] in GROUPS]), value=values)
@settings(max_examples=15)
def test_any_value_of_any_key_of_a_file(path: tuple[str | int, ...], value: Any, tmp_path: Path, at_home: None) -> None:
    group = str(path[0])
    content = with_value(option(group), path[1:], value)
    if isinstance(content, dict):
        try_out(tmp_path, group, content, ["weights=random"])


@given(group=st.sampled_from(sorted(GROUPS)), content=st.dictionaries(st.text(max_size=8), values, max_size=4))
@settings(max_examples=6)
def test_any_file_of_any_group(group: str, content: dict[str, Any], tmp_path: Path, at_home: None) -> None:
    try_out(tmp_path, group, content, [])


@given(key=st.sampled_from([".".join(path) for path in KEYS]), value=st.one_of(values.map(str), st.text(max_size=30)))
@settings(max_examples=12)
def test_any_text_on_the_command_line(key: str, value: str, tmp_path: Path, at_home: None) -> None:
    try:
        go(tmp_path, compose.compose(["model=dqn", f"{key}={value}"]))
    except RunnerError as error:
        assert error.message.strip()


@pytest.fixture
def at_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
