"""constraints.txt: what was tested together."""

import configparser
import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def name_of(requirement: str) -> str:
    """The distribution that a requirement names, as package indexes spell it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>\[; ]", requirement, maxsplit=1)[0]).lower()


def required() -> set[str]:
    """Everything that the package or one of its extras asks for."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    lines = [line.strip() for each in listed for line in each.splitlines()]
    return {line for line in lines if line and not line.startswith("#")}


LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
PINNED = {name_of(line): line.partition("==")[2] for line in LINES}


def test_everything_that_is_asked_for_is_pinned() -> None:
    assert set(map(name_of, required())) - set(PINNED) == set()


def test_each_line_pins_one_version() -> None:
    assert all(PINNED.values())
    assert len(PINNED) == len(LINES)


@pytest.mark.parametrize("requirement", sorted(required()))
def test_what_is_pinned_is_allowed(requirement: str) -> None:
    parsed = Requirement(requirement)
    assert PINNED[name_of(requirement)] in parsed.specifier


def test_what_is_installed_is_what_was_tested() -> None:
    installed = {each.name: each.version.partition("+")[0] for each in importlib.metadata.distributions()}
    others = {name: version for name, version in installed.items() if PINNED.get(name_of(name), version) != version}
    if others:
        pytest.skip(f"this environment has others than constraints.txt: {others}")
