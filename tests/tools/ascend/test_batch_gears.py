"""One offline model for several batch sizes, from the command line through the stand-ins of atc and the tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

STANDINS = Path(__file__).parents[2] / "standins"
CARD = ("weights=random", "soc=310P3", "tool.adapter.loop=5")
TOOLS = {
    "ais_bench": ("tool=ais_bench",),
    "api": ("tool=ais_bench", "tool.mode=api"),
    "ais_infer": ("tool=ais_infer", f"tool.script={STANDINS / 'ais_infer.py'}"),
}
GEARS = "batch.gears=[1,3]"
RANGE = (GEARS, "tool.shapes=range")


@pytest.fixture(params=sorted(TOOLS))
def run(request, card, monkeypatch, run_tiny, tiny_zoo):
    """Run the tiny model with a tool; return its result."""
    monkeypatch.syspath_prepend(STANDINS)

    def with_tool(*arguments: str) -> dict[str, Any]:
        run_tiny(*CARD, *TOOLS[request.param], *arguments)
        return json.loads((tiny_zoo / "out" / "result.json").read_text())

    return with_tool


def statuses(found: dict[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in found["stages"]}


def words(found: dict[str, Any], stage: str) -> list[str]:
    return [word for command in found["commands"] if command["stage"] == stage for word in command["argv"]]


def outputs(found: dict[str, Any]) -> np.ndarray:
    with np.load(found["artifacts"]["predictions"]) as arrays:
        return arrays["class"]


@pytest.mark.parametrize("options", [(GEARS,), RANGE], ids=["gears", "range"])
def test_the_runs_of_a_sweep_share_one_model_and_give_the_outputs_of_one_for_each(run, options) -> None:
    first, second = run("batch=3", *options), run("batch=1", *options)
    assert (statuses(first)["compile"], statuses(second)["compile"]) == ("ran", "reused")
    assert first["artifacts"]["compiled"] == second["artifacts"]["compiled"]
    assert statuses(second)["infer"] == statuses(second)["benchmark"] == "ran"
    assert (first["performance"]["batch"], second["performance"]["batch"]) == (3, 1)
    own = run("batch=3")
    np.testing.assert_array_equal(outputs(first), outputs(own))
    np.testing.assert_array_equal(outputs(second), outputs(own))


def test_a_result_names_the_batch_sizes_of_its_model(run) -> None:
    assert run("batch=3", GEARS)["performance"]["gears"] == ["batch 1", "batch 3"]
    assert run("batch=3", *RANGE)["performance"]["gears"] == ["batch 1~3"]
    assert run("batch=3")["performance"]["gears"] == []


def test_atc_gets_the_gears_and_the_tool_the_batch(card, run_tiny, tiny_zoo) -> None:
    run_tiny(*CARD, "batch=3", GEARS)
    found = json.loads((tiny_zoo / "out" / "result.json").read_text())
    compiled = words(found, "compile")
    assert "--input_shape=image:-1,3,8,8" in compiled
    assert "--dynamic_batch_size=1,3" in compiled
    assert "--dymBatch 3" in " ".join(words(found, "infer"))
    assert "--dymBatch 3" in " ".join(words(found, "benchmark"))


def test_atc_gets_the_range_and_the_tool_the_sizes_of_the_outputs(card, run_tiny, tiny_zoo) -> None:
    run_tiny(*CARD, "batch=3", *RANGE)
    found = json.loads((tiny_zoo / "out" / "result.json").read_text())
    compiled = words(found, "compile")
    assert "--input_shape=image:1~3,3,8,8" in compiled
    assert not [word for word in compiled if word.startswith("--dynamic")]
    assert "--dymShape image:3,3,8,8 --outputSize 48" in " ".join(words(found, "infer"))


def test_a_dry_run_shows_both(card, run_tiny) -> None:
    shown = run_tiny(*CARD, "batch=3", GEARS, "dry_run=true").stdout
    assert "--dynamic_batch_size=1,3" in shown
    assert "--dymBatch 3" in shown
    shown = run_tiny(*CARD, "batch=3", *RANGE, "dry_run=true").stdout
    assert "--input_shape=image:1~3,3,8,8" in shown.replace("'", "")
    assert "--dymShape image:3,3,8,8 --outputSize -1" in shown


def test_a_model_normalised_on_the_card_has_gears_too(card, run_tiny, tiny_zoo) -> None:
    run_tiny(*CARD, "batch=3", GEARS, "model.aipp=true")
    found = json.loads((tiny_zoo / "out" / "result.json").read_text())
    assert found["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("batch=4", GEARS), "batch.gears is [1, 3], and batch=4 is none of them"),
        (("batch=1", "batch.gears=[1]"), "give two or more batch sizes"),
        (("batch=1", "batch.gears=[1,1]"), "give two or more batch sizes"),
        (("batch=1", "batch.gears=[1,0]"), "give two or more batch sizes"),
        (("batch=3", GEARS, "model.export.fixed_batch=true"), "model=tiny is exported for one batch size"),
        (("batch=3", GEARS, "tool=benchmark"), "a model for tool=benchmark has one batch size"),
        (("batch=3", GEARS, "model.inputs.0.shape=[3,null,null]"), "sizes of image are free"),
        (("batch=3", "+model.atc.dynamic_batch_size='1,3'"), "batch.gears=[1,4,8] makes one model"),
    ],
)
def test_what_cannot_be_is_told_before_anything_runs(card, run_tiny, options, told) -> None:
    done = run_tiny(*CARD, *options, check=1)
    assert told in " ".join((done.stdout + done.stderr).split())


def test_a_model_that_another_host_has_compiled_serves_each_of_its_batch_sizes(card, run_tiny, tiny_zoo) -> None:
    run_tiny(*CARD, "batch=3", GEARS, "stages=[compile]", "cache_dir=built")
    for batch in (1, 3):
        run_tiny(*CARD, f"batch={batch}", "compiled=built/compile", "cache_dir=here")
        found = json.loads((tiny_zoo / "out" / "result.json").read_text())
        assert found["performance"]["gears"] == ["batch 1", "batch 3"]
        assert found["performance"]["batch"] == batch
        assert (statuses(found)["infer"], statuses(found)["benchmark"]) == ("ran", "ran")


def test_onnx_runtime_on_a_card_without_its_provider_is_told_with_what_to_install(card, run_tiny) -> None:
    told = run_tiny(*CARD[:2], "batch=3", "tool=onnxruntime", "dry_run=true").stdout
    assert "no CANNExecutionProvider" in " ".join(told.split())
    assert "pip install onnxruntime-cann" in " ".join(told.split())
