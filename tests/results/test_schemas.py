"""The JSON Schemas are those of the types, and what a run writes is valid by them."""

import json
from pathlib import Path
from typing import Any

import pytest

from runner import results
from runner.core import Command
from runner.results import (
    Environment,
    Failure,
    Gate,
    Latency,
    Meaning,
    Performance,
    Result,
    Sweep,
    SweepJob,
    schemas,
    sweeps,
)
from runner.results import result as result_files

FOLDER = Path(schemas.__file__).parent
JSON_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def faults(value: Any, schema: dict[str, Any], whole: dict[str, Any], where: str = "$") -> list[str]:
    """Return what violates the part of JSON Schema 2020-12 that the files use; fails on any other keyword."""
    assert not schema.keys() - {
        *("$schema", "$ref", "$defs", "title", "description", "default", "anyOf", "enum", "const", "type"),
        *("properties", "required", "items", "additionalProperties", "minimum", "maximum"),
    }
    if "$ref" in schema:
        return faults(value, whole["$defs"][schema["$ref"].removeprefix("#/$defs/")], whole, where)
    if "anyOf" in schema:
        return min((faults(value, each, whole, where) for each in schema["anyOf"]), key=len)
    if "const" in schema or "enum" in schema:
        return [] if value in schema.get("enum", [schema.get("const")]) else [f"{where}: {value!r}"]
    is_bool = isinstance(value, bool) and schema["type"] != "boolean"
    if is_bool or not isinstance(value, JSON_TYPES[schema["type"]]):
        return [f"{where}: {value!r} is no {schema['type']}"]
    found = []
    if schema["type"] == "integer" and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found += [f"{where}: {value!r} is out of range"]
    if schema["type"] == "object":
        found += [f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value]
        named = schema.get("properties", {})
        others = schema.get("additionalProperties", {})
        for name, each in value.items():
            if part := named.get(name, others):
                found += faults(each, part, whole, f"{where}.{name}")
    if schema["type"] == "array":
        for index, each in enumerate(value):
            found += faults(each, schema["items"], whole, f"{where}[{index}]")
    return found


def faults_of(path: Path, schema_name: str) -> list[str]:
    schema = json.loads((FOLDER / schema_name).read_text())
    return faults(json.loads(path.read_text()), schema, schema)


WHOLE = Result(
    created="2026-11-21T12:00:00+00:00",
    status="ok",
    overrides=("model=dqn",),
    model="dqn",
    soc="310P3",
    tool="ais_bench",
    batch=4,
    dataset="atari",
    limit=8,
    weights=results.UsedWeights("random", "/w.pth", "ab"),
    accuracy={"action_agreement": 100.0, "nan": float("nan"), "samples": 20},
    metrics={"action_agreement": Meaning("percent", "higher", is_share=True)},
    fidelity=results.WorstFidelity(samples=20, cosine=1.0, per_output={"q": result_files.OutputFidelity(cosine=1.0)}),
    performance=Performance(
        batch=4, latency_ms=Latency(mean=1.5), reasons=("device busy",), devices=("310P3 device 0",)
    ),
    gates=(Gate(name="accuracy.x", verdict="skip"), Gate(name="y", verdict="fail", measured=1.0)),
    artifacts=results.UsedArtifacts(onnx="/x.onnx"),
    stages=(results.StageRecord("export", "ran", 1.5, "k1"), results.StageRecord("compile", "skipped", 0.0, None)),
    commands=(Command("compile", ("atc", "--model=x")),),
    environment=Environment(host="h", packages={"torch": "2.9"}, tools={"ais_bench": "1.0"}),
)


@pytest.mark.parametrize("name", schemas.FILES)
def test_the_files_are_up_to_date(name: str) -> None:
    """Otherwise run `python -m runner.results.schemas`."""
    assert (FOLDER / name).read_bytes() == schemas.text(*schemas.FILES[name])


@pytest.mark.parametrize(
    "result",
    [
        WHOLE,
        Result(status="failed", model="dqn", soc="cpu", tool="onnxruntime", error=Failure("infer", "m", "f")),
        Result(status="failed", error=Failure("preflight", "batch is 0", "give at least 1")),
    ],
    ids=["whole", "failed", "rejected"],
)
def test_what_a_run_writes_is_valid(result: Result, tmp_path) -> None:
    result_files.write(tmp_path, result)
    assert faults_of(tmp_path / "result.json", "result.schema.json") == []


def test_what_a_real_run_writes_is_valid(run_tiny, tiny_zoo) -> None:
    run_tiny("weights=random")
    assert faults_of(tiny_zoo / "out" / "result.json", "result.schema.json") == []


def test_what_a_sweep_writes_is_valid(tmp_path) -> None:
    jobs = (SweepJob("0", ("batch=1",)), SweepJob("1", ("batch=4",)))
    sweeps.write(tmp_path, Sweep(created="2026-11-21T12:00:00+00:00", host="h", jobs=jobs))
    assert faults_of(tmp_path / "sweep.json", "sweep.schema.json") == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"schema": 2}, ["$.schema: 2"]),
        ({"batch": "4"}, ["$.batch: '4' is no integer"]),
        ({"batch": 10**30}, [f"$.batch: {10**30} is out of range"]),
        ({"status": "perhaps"}, ["$.status: 'perhaps'"]),
        ({"stages": [{"name": "export", "status": "ran", "seconds": 1.0}]}, ["$.stages[0].key is missing"]),
    ],
)
def test_other_content_is_not_valid(changed: dict[str, Any], told: list[str], tmp_path) -> None:
    result_files.write(tmp_path, WHOLE)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    assert faults_of(path, "result.schema.json") == told
