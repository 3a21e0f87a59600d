"""Results made by hand: stand-in figures, in files as the runner writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def content(**changes: Any) -> dict[str, Any]:
    """A result.json of dcgan on 310P3; `samples_per_second`, `valid` and `origin` reach into its parts."""
    rate = changes.pop("samples_per_second", 100.0)
    reasons = changes.pop("reasons", [])
    origin = changes.pop("origin", "file")
    whole = {
        "schema": 1,
        "status": "ok",
        "model": "dcgan",
        "soc": "310P3",
        "tool": "ais_bench",
        "batch": 1,
        "dataset": "noise",
        "weights": {"origin": origin, "path": "/w.pth", "sha256": "ab12"},
        "accuracy": {"acc": 100.0, "samples": 64},
        "metrics": {"acc": {"unit": "percent", "better": "higher"}},
        "fidelity": {"samples": 64, "top1_agreement": None, "cosine": 1.0, "max_abs": 0.1, "mean_abs": 0.01},
        "performance": {
            "batch": changes.get("batch", 1),
            "samples_per_second": rate,
            "latency_ms": {"mean": 2.0, "p50": 1.9, "p90": 2.5, "p95": 2.6, "p99": 3.0},
            "iterations": 10,
            "warmup": 3,
            "valid": not reasons,
            "reasons": reasons,
            "source": "a stand-in figure",
        },
        "gates": [gate("accuracy.acc", "pass", 100.0, 100.0)],
        "artifacts": {},
        "stages": [{"name": "weights", "status": "ran", "seconds": 1.0, "key": "k1"}],
        "commands": [{"stage": "compile", "argv": ["atc", "--framework=5", "--model=a b.onnx"]}],
        "environment": {"python": "3.11.7", "packages": {"torch": "2.0"}, "os": "Linux", "cpu": "x", "memory": "1 GiB"},
        "error": None,
    }
    return whole | changes


def gate(name: str, verdict: str, measured: float | None, expected: float | None, reason: str = "") -> dict[str, Any]:
    """A gate as result.json holds it."""
    numbers = {"measured": measured, "expected": expected, "tolerance": 1.0}
    return {"name": name, **numbers, "verdict": verdict, "reason": reason, "source": "a table, row 1"}


@pytest.fixture
def result_content() -> Callable[..., dict[str, Any]]:
    """A result.json's content, changed where a test needs it."""
    return content


@pytest.fixture
def make_gate() -> Callable[..., dict[str, Any]]:
    """(name, verdict, measured, expected, reason) -> a gate as result.json holds it."""
    return gate


@pytest.fixture
def write_result(tmp_path: Path) -> Callable[..., Path]:
    """Write a result.json into `tmp_path`/<folder>; later calls write newer files."""
    written = 0

    def write(folder: str, **changes: Any) -> Path:
        nonlocal written
        written += 1
        path = tmp_path / folder / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(content(**changes)))
        os.utime(path, (1e9 + written, 1e9 + written))
        return path

    return write
