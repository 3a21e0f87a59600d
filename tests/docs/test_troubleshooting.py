"""The page of all errors is what the source raises, and each error says what to do."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "docs" / "make_troubleshooting.py"


@pytest.fixture(scope="module")
def made() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_troubleshooting", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(made: ModuleType) -> None:
    assert made.PAGE.read_text() == made.page(), "run `python docs/make_troubleshooting.py`"


def test_every_error_says_what_to_do(made: ModuleType) -> None:
    assert [entry.message for entry in made.entries() if not entry.fix] == []


def test_what_is_known_only_in_a_run_is_in_capitals(made: ModuleType) -> None:
    messages = {entry.message for entry in made.entries() if entry.kind == "ConfigError"}
    assert any(message.startswith("model.decode asks for VALUE") for message in messages)
