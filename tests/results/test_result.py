import json
import math
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.core import Command, ComparedAccuracy, Fidelity, OperatorTime, Problem, Timing
from runner.results import (
    Environment,
    Failure,
    Gate,
    Latency,
    Meaning,
    Performance,
    Result,
    StageRecord,
    UsedArtifacts,
    UsedWeights,
    WorstFidelity,
    find,
    result,
)
from runner.results.result import OutputFidelity

FULL = Result(
    created="2026-11-20T12:00:00.250+00:00",
    status="failed",
    overrides=("model=tiny", "batch=16"),
    model="tiny",
    soc="310P3",
    tool="ais_bench",
    batch=16,
    dataset="imagenet",
    limit=640,
    stand_in="synthetic pictures",
    weights=UsedWeights("url", "/cache/weights/w.pth", "ab12"),
    accuracy={"top1": 71.25, "psnr": 29.5, "samples": 512},
    metrics={"top1": Meaning("percent", "higher"), "rmse": Meaning("m", "lower")},
    fidelity=WorstFidelity(
        samples=31,
        top1_agreement=96.5,
        cosine=0.9875,
        max_abs=0.75,
        mean_abs=0.0625,
        equal=97.5,
        reference=result.OUTSIDE,
        accuracy={"top1": 72.5},
        tool_accuracy={"top1": 71.75},
        per_output={
            "scores": OutputFidelity(
                samples=32, top1_agreement=96.75, cosine=0.99, max_abs=0.5, mean_abs=0.05, equal=98.5
            )
        },
    ),
    performance=Performance(
        batch=17,
        samples_per_second=2048.5,
        latency_ms=Latency(mean=1.5, p50=1.25, p90=1.75, p95=1.875, p99=2.5, min=1.125, max=3.5, std=0.125),
        iterations=101,
        warmup=7,
        load_ms=345.5,
        first_call_ms=45.5,
        peak_rss_mib=789.5,
        measured_at="2026-11-20T11:59:00.250+00:00",
        devices=("310P3 device 1",),
        chips=4,
        gears=("batch 1", "batch 8"),
        operators=(OperatorTime(name="conv1", type="Conv2D", mean_ms=0.5, percent=25.0),),
        includes_copies=True,
        valid=False,
        reasons=("the device was busy", "too short"),
        source="ais_bench's summary",
    ),
    gates=(
        Gate(
            name="accuracy.top1",
            measured=71.25,
            expected=76.0,
            expected_for="310, batch 8",
            tolerance=1.5,
            verdict="fail",
            reason="two standard errors of 512 samples",
            source="a table, row 1",
        ),
    ),
    artifacts=UsedArtifacts(
        weights="/w.pth", onnx="/m.onnx", compiled="/m.om", samples="/samples", predictions="/predictions.npz"
    ),
    stages=(StageRecord("export", "reused", 12.5, "key1"), StageRecord("compile", "failed", 13.5, None)),
    commands=(Command("compile", ("atc", "--model=a b.onnx")),),
    environment=Environment(
        host="board",
        commit="1a2b3c4+changes",
        python="3.11.7",
        packages={"torch": "2.0"},
        os="Linux",
        cpu="a processor",
        memory="64 GiB",
        tools={"ais_bench": "0.0.2"},
    ),
    error=Failure(
        "benchmark", "the card is gone", "plug it in", (Problem("the card is gone", "plug it in"), Problem("no disk"))
    ),
    path="/runs/1/result.json",
    written_at=1e9,
    edited={"model.preprocess.resize": "70"},
)


def at_their_defaults(holder: Any, where: str = "") -> Iterator[str]:
    """The fields of a dataclass instance, and of those below it, that hold nothing but their defaults."""
    for field in fields(holder):
        value, name = getattr(holder, field.name), f"{where}{field.name}"
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if value == default:
            yield name
        elif is_dataclass(value):
            yield from at_their_defaults(value, f"{name}.")


def read_back(folder: Path, written: Result) -> Result:
    """A result after it was written and read."""
    result.write(folder, written)
    return result.decode((folder / "result.json").read_bytes())


def test_all_that_is_written_is_read(tmp_path: Path) -> None:
    assert list(at_their_defaults(FULL)) == ["schema"]
    assert read_back(tmp_path, FULL) == replace(FULL, path="", written_at=0.0, edited={})


def test_what_a_run_did_not_reach_is_null_and_read_as_none(tmp_path: Path) -> None:
    bare = Result(status="ok", model="tiny", soc="cpu", tool="onnxruntime", batch=1)
    assert read_back(tmp_path, bare) == bare
    content = json.loads((tmp_path / "result.json").read_text())
    assert {name for name, value in content.items() if value is None} == {
        "created", "limit", "stand_in", "weights", "accuracy", "fidelity", "performance", "artifacts", "error",
    }  # fmt: skip


def test_where_it_lies_and_when_it_was_written_is_not_in_the_file(tmp_path: Path) -> None:
    result.write(tmp_path, FULL)
    assert not {"path", "written_at", "edited"} & json.loads((tmp_path / "result.json").read_text()).keys()


def test_where_it_was_found_and_when_it_was_written_is_read_from_the_disk(tmp_path: Path) -> None:
    result.write(tmp_path, FULL)
    (found,) = find([tmp_path]).results
    path = tmp_path / "result.json"
    assert found == replace(FULL, path=str(path), written_at=path.stat().st_mtime, edited={})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_becomes_null(value: float, tmp_path: Path) -> None:
    latency = Latency(mean=value, p50=1.25)
    (gate,) = FULL.gates
    spoilt = replace(
        FULL,
        accuracy={"top1": value, "samples": 512},
        performance=Performance(samples_per_second=value, latency_ms=latency),
        gates=(replace(gate, measured=value),),
    )
    read = read_back(tmp_path, spoilt)
    assert read.accuracy == {"top1": None, "samples": 512}
    assert read.performance == Performance(samples_per_second=None, latency_ms=Latency(mean=None, p50=1.25))
    assert read.gates == (replace(gate, measured=None),)


def test_what_is_written_is_json_that_every_program_reads(tmp_path: Path) -> None:
    result.write(tmp_path, replace(FULL, accuracy={"top1": math.nan}))

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads((tmp_path / "result.json").read_text(), parse_constant=refuse)


def test_a_run_whose_configuration_was_refused_names_nothing_that_it_does_not_know(tmp_path: Path) -> None:
    failure = Failure("config", "batch is x", "give a number")
    refused = Result(created="2026-11-20T12:00:00.250+00:00", status="failed", error=failure)
    assert read_back(tmp_path, refused) == refused
    content = json.loads((tmp_path / "result.json").read_text())
    assert list(content) == ["schema", "created", "status", "overrides", "gates", "stages", "error"]


def older_content() -> dict[str, Any]:
    """A result.json as version 0.1 wrote it: no meanings of metrics, nothing of what a load and a first call cost."""
    return {
        "schema": 1,
        "created": "2026-05-01T08:00:00.000+00:00",
        "status": "ok",
        "model": "moco_v2",
        "soc": "310P3",
        "tool": "ais_bench",
        "batch": 32,
        "dataset": "imagenet",
        "limit": None,
        "stand_in": None,
        "weights": {"origin": "file", "path": "/w.pth", "sha256": "ab12"},
        "accuracy": {"top1": 67.3, "samples": 50000},
        "fidelity": {
            "samples": 64,
            "top1_agreement": 100.0,
            "cosine": 1.0,
            "max_abs": 0.5,
            "mean_abs": 0.25,
            "per_output": {
                "out": {"samples": 64, "top1_agreement": 100.0, "cosine": 1.0, "max_abs": 0.5, "mean_abs": 0.25}
            },
        },
        "performance": {
            "batch": 32,
            "samples_per_second": 2000.0,
            "latency_ms": {"mean": 16.0, "p50": 15.0, "p90": 17.0, "p95": 18.0, "p99": 19.0},
            "iterations": 100,
            "warmup": 3,
            "valid": True,
            "reasons": [],
            "source": "ais_bench",
        },
        "gates": [],
        "artifacts": {"weights": "/w.pth", "onnx": None, "compiled": None, "samples": None, "predictions": None},
        "stages": [{"name": "weights", "status": "ran", "seconds": 1.0, "key": "k1"}],
        "commands": [{"stage": "compile", "argv": ["atc"]}],
        "environment": {"python": "3.11.7", "packages": {}, "os": "Linux", "cpu": "x", "memory": "1 GiB", "tools": {}},
        "error": None,
    }


def decoded(content: dict[str, Any]) -> Result:
    return result.decode(json.dumps(content).encode())


def test_a_result_of_an_older_version_is_read() -> None:
    read = decoded(older_content())
    assert (read.model, read.batch, read.figures, read.samples_per_second) == ("moco_v2", 32, {"top1": 67.3}, 2000.0)
    assert read.performance is not None
    assert (read.performance.latency_ms.p99, read.performance.source) == (19.0, "ais_bench")


def test_what_an_older_version_did_not_tell_is_unknown() -> None:
    read = decoded(older_content())
    assert (read.metrics, read.meaning("top1")) == ({}, Meaning("", None))
    assert read.performance is not None
    assert (read.performance.load_ms, read.performance.first_call_ms) == (None, None)
    assert (read.performance.peak_rss_mib, read.performance.latency_ms.std) == (None, None)


def test_an_older_version_did_not_say_when_a_run_ended() -> None:
    content = {name: value for name, value in older_content().items() if name != "created"}
    assert decoded(content).created is None


def test_a_part_that_this_version_does_not_know_is_passed_over() -> None:
    content = older_content() | {"mood": "good"}
    content["performance"]["energy_joules"] = 3.0
    assert decoded(content) == decoded(older_content())


def test_not_a_number_as_older_versions_wrote_it_is_read() -> None:
    content = older_content()
    content["performance"]["latency_ms"]["mean"] = math.nan
    content["performance"]["samples_per_second"] = math.inf
    performance = decoded(content).performance
    assert performance is not None
    assert (str(performance.latency_ms.mean), performance.samples_per_second) == ("nan", math.inf)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("batch", "many", r"Expected `int`, got `str` - at `\$\.batch`"),
        ("performance", 3, r"\$\.performance"),
        ("gates", [{"name": "accuracy"}], r"missing required field `verdict` - at `\$\.gates\[0\]`"),
        ("gates", [{"name": "accuracy", "verdict": "maybe"}], "maybe"),
        ("stages", [{"name": "export", "status": "done", "seconds": 1.0, "key": None}], "done"),
        ("model", "", "which model ran on which soc"),
        ("batch", 0, "which model ran on which soc"),
        ("created", "yesterday", "yesterday"),
        ("schema", 2, "newer schema: 2, and this runner reads 1"),
        ("schema", True, "its schema is True, not a number"),
    ],
)
def test_a_part_that_is_not_what_it_should_be_is_named(field: str, value: object, told: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=told):
        decoded(older_content() | {field: value})


def test_a_file_that_cannot_be_read_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    for name, value in (("good", 32), ("bad", "many")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(older_content() | {"batch": value}))
    found = find([tmp_path])
    assert [one.path for one in found.results] == [str(tmp_path / "good" / "result.json")]
    assert [(one.path, one.reason) for one in found.skipped] == [
        (str(tmp_path / "bad" / "result.json"), "Expected `int`, got `str` - at `$.batch`")
    ]


@pytest.mark.parametrize(
    ("status", "verdicts", "code"),
    [
        ("ok", [], 0),
        ("ok", ["pass", "skip"], 0),
        ("ok", ["pass", "fail"], 2),
        ("failed", [], 1),
        ("failed", ["fail"], 1),
    ],
)
def test_the_exit_code_follows_from_the_status_and_the_gates(status: Any, verdicts: list[Any], code: int) -> None:
    gates = tuple(Gate(name=f"gate{index}", verdict=verdict) for index, verdict in enumerate(verdicts))
    assert replace(FULL, status=status, gates=gates).exit_code == code


def test_the_time_in_the_file_is_when_the_run_ended() -> None:
    assert FULL.ended_at == 1795176000.25
    assert replace(FULL, created=None).ended_at == 1e9


def test_the_worst_output_speaks_for_all() -> None:
    fidelity = {
        "a": Fidelity(samples=4, top1_agreement=100.0, cosine=0.9, max_abs=0.5, mean_abs=0.1),
        "b": Fidelity(samples=3, top1_agreement=50.0, cosine=1.0, max_abs=0.2, mean_abs=0.2),
    }
    assert result.worst(fidelity, None) == WorstFidelity(
        samples=3,
        top1_agreement=50.0,
        cosine=0.9,
        max_abs=0.5,
        mean_abs=0.2,
        per_output={
            "a": OutputFidelity(samples=4, top1_agreement=100.0, cosine=0.9, max_abs=0.5, mean_abs=0.1),
            "b": OutputFidelity(samples=3, top1_agreement=50.0, cosine=1.0, max_abs=0.2, mean_abs=0.2),
        },
    )


def test_an_output_without_classes_has_no_agreement_to_speak_of() -> None:
    fidelity = {"a": Fidelity(samples=4, top1_agreement=None, cosine=0.9, max_abs=0.5, mean_abs=0.1)}
    assert result.worst(fidelity, None).top1_agreement is None


def test_the_least_equal_output_of_whole_numbers_speaks_for_all_of_them() -> None:
    known = {"samples": 4, "top1_agreement": None, "cosine": 1.0, "max_abs": 0.0, "mean_abs": 0.0}
    fidelity = {
        name: Fidelity(**known, equal=equal)  # type: ignore[arg-type]
        for name, equal in (("map", 99.5), ("other", 98.0), ("scores", None))
    }
    assert result.worst(fidelity, None).equal == 98.0


def test_the_metrics_of_both_stand_beside_the_fidelity() -> None:
    fidelity = {"a": Fidelity(samples=4, top1_agreement=None, cosine=0.9, max_abs=0.5, mean_abs=0.1)}
    found = result.worst(fidelity, ComparedAccuracy(4, {"map": 30.5}, {"map": 31.0}))
    assert (found.tool_accuracy, found.accuracy) == ({"map": 30.5}, {"map": 31.0})


def test_tiles_of_a_picture_are_one_sample_beside_the_metrics() -> None:
    fidelity = {"a": Fidelity(samples=12, top1_agreement=None, cosine=0.9, max_abs=0.5, mean_abs=0.1)}
    found = result.worst(fidelity, ComparedAccuracy(3, {"psnr": 30.5}, {"psnr": 31.0}))
    assert (found.samples, found.per_output["a"].samples) == (3, 12)


def test_the_raw_latencies_are_kept_beside_the_result(tmp_path: Path) -> None:
    timing = Timing(batch=4, latencies_ms=(3.0, 1.5, 1.25), warmup=2, source="a tool", settled_after=1)
    result.write_latencies(tmp_path, timing)
    assert json.loads((tmp_path / "latencies_ms.json").read_text()) == {
        "batch": 4,
        "source": "a tool",
        "settled_after": 1,
        "latencies_ms": [3.0, 1.5, 1.25],
    }
