"""A model compiled on one host and run on another, which has a card and no atc; both are stand-ins."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

STANDINS = Path(__file__).parents[1] / "standins"
MODEL = ("weights=random", "soc=310P3", "batch=2", "tool.adapter.loop=5")


def result(zoo: Path) -> dict:
    return json.loads((zoo / "out" / "result.json").read_text())


def only(monkeypatch: pytest.MonkeyPatch, programs: Path, *names: str) -> None:
    """Have these programs of CANN on the PATH, and no others."""
    programs.mkdir()
    for name in names:
        (programs / name).symlink_to(STANDINS / name)
    monkeypatch.setenv("PATH", f"{programs}:{Path(sys.executable).parent}:{os.defpath}")


@pytest.fixture
def on_the_build_host(card: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Switch to a host with atc alone: no ais_bench, no npu-smi."""

    def switch() -> None:
        only(monkeypatch, tmp_path / "build", "atc", "python3")
        monkeypatch.delenv("ASCEND_HOME_PATH")

    return switch


@pytest.fixture
def on_the_card_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Switch to a host with the card and ais_bench, without atc."""

    def switch() -> None:
        only(monkeypatch, tmp_path / "card", "npu-smi")
        monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path))

    return switch


@pytest.fixture
def copied(on_the_build_host, on_the_card_host, run_tiny, tiny_zoo) -> Path:
    """A folder on the host with the card, copied from the store of the one that compiled."""
    on_the_build_host()
    run_tiny(*MODEL, "stages=[compile]", "cache_dir=build-cache", "tool.python=/no/such/python")
    shutil.copytree(tiny_zoo / "build-cache" / "compile", tiny_zoo / "compiled")
    shutil.rmtree(tiny_zoo / "build-cache")
    on_the_card_host()
    return tiny_zoo / "compiled"


def test_a_host_without_card_and_ais_bench_compiles_for_any_soc(on_the_build_host, run_tiny, tiny_zoo) -> None:
    on_the_build_host()
    run_tiny("weights=random", "soc=910B4", "stages=[compile]", "tool.python=/no/such/python")
    assert result(tiny_zoo)["artifacts"]["compiled"].endswith(".om")


def test_a_host_with_another_chip_compiles_too(card, run_tiny, tiny_zoo, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_CHIPS", "910B4")
    run_tiny(*MODEL, "stages=[compile]")
    assert result(tiny_zoo)["artifacts"]["compiled"].endswith(".om")


def test_a_host_without_atc_runs_what_another_compiled(copied, run_tiny, tiny_zoo) -> None:
    run_tiny(*MODEL, "compiled=compiled")
    found = result(tiny_zoo)
    assert found["artifacts"]["compiled"].startswith(str(copied))
    assert found["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-4)
    assert {command["stage"] for command in found["commands"]} == {"infer", "benchmark"}
    ran = {stage["name"] for stage in found["stages"] if stage["status"] == "ran"}
    assert ran == {"weights", "prepare", "infer", "reference", "score", "benchmark"}


def test_measuring_alone_needs_neither_the_network_nor_its_weights(copied, run_tiny, tiny_zoo) -> None:
    run_tiny(*MODEL, "compiled=compiled", "stages=[benchmark]")
    ran = [stage["name"] for stage in result(tiny_zoo)["stages"] if stage["status"] == "ran"]
    assert ran == ["benchmark"]


def test_a_compiled_model_that_changed_on_its_way_is_refused(copied, run_tiny, tiny_zoo) -> None:
    (om,) = copied.glob("*/model.om")
    om.write_bytes(om.read_bytes()[:-1] + b"?")
    done = run_tiny(*MODEL, "compiled=compiled", check=1)
    assert "model.om has other bytes than were stored" in done.stderr
    assert "copy that folder again" in done.stderr


def test_a_compiled_model_of_another_batch_is_told_with_what_is_there(copied, run_tiny) -> None:
    done = run_tiny(*MODEL, "batch=4", "compiled=compiled", check=1)
    assert "does not hold tiny for 310P3, batch 4" in done.stderr
    assert "(tiny for 310P3, batch 2)" in done.stderr


def test_a_compiled_model_that_takes_other_inputs_is_told(copied, run_tiny) -> None:
    done = run_tiny(*MODEL, "compiled=compiled", "model.aipp=true", check=1)
    assert "takes image float32 [3, 8, 8]" in done.stderr
    assert "image uint8 [8, 8, 3]" in done.stderr


def test_a_dry_run_names_the_compiled_model_and_no_atc(copied, run_tiny) -> None:
    done = run_tiny(*MODEL, "compiled=compiled", "dry_run=true")
    assert "atc " not in done.stdout
    assert f"{copied}/" in done.stdout


def test_a_folder_without_a_compiled_model_is_told_in_a_dry_run_too(on_the_card_host, card, run_tiny) -> None:
    done = run_tiny(*MODEL, "compiled=nowhere", "dry_run=true")
    assert "does not hold tiny for 310P3, batch 2" in " ".join((done.stdout + done.stderr).split())


def test_one_compiled_model_of_several_batch_sizes_is_taken_for_each(
    on_the_build_host, on_the_card_host, run_tiny, tiny_zoo
) -> None:
    gears = ("batch.gears=[2,4]", "model.export.fixed_batch=false", "model.simplify.fixed_batch=false")
    on_the_build_host()
    run_tiny(*MODEL, *gears, "stages=[compile]", "cache_dir=build-cache")
    on_the_card_host()
    run_tiny(*MODEL, *gears, "stages=[benchmark]", "compiled=build-cache/compile")
    assert result(tiny_zoo)["performance"]["batch"] == 2
