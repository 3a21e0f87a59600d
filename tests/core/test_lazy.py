"""Heavy packages are imported when something of them is first used."""

from __future__ import annotations

import subprocess
import sys
import typing
from pathlib import Path

import numpy
import PIL.Image
import pytest
import torch

from runner.core import lazy

HEAVY = ("PIL", "numpy", "onnx", "onnxruntime", "onnxsim", "requests", "timm", "torch", "torchvision")


def imported_by(code: str, tmp_path: Path) -> set[str]:
    """Which of HEAVY a new process has imported after some code."""
    told = f"{code}\nimport sys\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", told], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_naming_them_imports_none(tmp_path: Path) -> None:
    names = ", ".join(lazy.__all__)
    assert imported_by(f"from runner.core.lazy import {names}", tmp_path) == set()


def test_no_module_of_the_runner_imports_one_before_it_is_used(tmp_path: Path) -> None:
    code = """
import importlib, pkgutil, runner
for module in pkgutil.walk_packages(runner.__path__, "runner."):
    importlib.import_module(module.name)
"""
    assert imported_by(code, tmp_path) == set()


def test_using_one_imports_that_one(tmp_path: Path) -> None:
    code = "from runner.core.lazy import np, torch\nassert np.float32(2) == 2"
    assert imported_by(code, tmp_path) == {"numpy"}


def test_setting_an_attribute_imports_it_too(tmp_path: Path) -> None:
    code = (
        "from runner.core.lazy import requests\nrequests.made_up = 1\nimport requests as real; assert real.made_up == 1"
    )
    assert imported_by(code, tmp_path) == {"requests"}


def test_an_attribute_is_the_modules_own() -> None:
    assert lazy.np.ndarray is numpy.ndarray
    assert lazy.torch.nn.Module is torch.nn.Module
    assert lazy.Image.open is PIL.Image.open


def test_an_attribute_that_is_set_reaches_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(lazy.torch, "load", "another")
        assert torch.load == "another"
        assert lazy.torch.load == "another"
    assert callable(torch.load)
    assert lazy.torch.load is torch.load


def test_an_attribute_that_the_module_is_given_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "load", "another")
    assert lazy.torch.load == "another"


def test_an_attribute_that_is_deleted_is_gone_from_the_module() -> None:
    numpy.made_up = 1  # type: ignore[attr-defined]
    del lazy.np.made_up
    assert not hasattr(numpy, "made_up")


def test_what_a_module_lacks_is_told_as_the_module_tells_it() -> None:
    with pytest.raises(AttributeError, match="no attribute 'made_up'"):
        _ = lazy.np.made_up
    assert not hasattr(lazy.torch, "made_up")


def test_an_array_in_an_annotation_needs_no_numpy(tmp_path: Path) -> None:
    code = "from typing import Any\nfrom runner.core.lazy import NDArray\nArrays = dict[str, NDArray[Any]]"
    assert imported_by(code, tmp_path) == set()


def test_an_annotation_with_an_array_can_be_evaluated() -> None:
    def takes(array: lazy.NDArray[typing.Any]) -> None: ...

    assert set(typing.get_type_hints(takes)) == {"array", "return"}
