"""Results, sweeps and saved configurations of strangers, in every command that reads them: 0 to 3, no traceback."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import diff
from runner.compare import __main__ as compare
from runner.guide import __main__ as guide
from runner.report import __main__ as report
from tests.fuzz.values import damaged, values
from tests.results.by_hand import content

pytestmark = pytest.mark.fuzz
counter = itertools.count()

NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 5e-324, 1e-300, 1e-9, 1.0, 1e9, 1e15, 1e300, 1.7e308, -1.7e308, float("nan")]),
    st.sampled_from([0, 1, -1, 2**31, 2**53, 2**63, 2**64, 10**30, 10**400]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none(),
)
TIMES = st.sampled_from(
    [
        *["0001-01-01T00:00:00", "9999-12-31T23:59:59", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"],
        *["1969-12-31T23:59:59", "2026-11-20", "2026-11-20T12:00:00+00:00", "2026-W01-1", "", "now", None],
    ]
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", "dcgan", "[/x]", "\x1b[31m", "=1+1", "</script>", "a\nb", "\u202e", "x" * 300, "a|b", "../..", "\0"]
    ),
    st.text(max_size=8),
)


@st.composite
def hostile(draw: st.DrawFn) -> dict[str, Any]:
    """A result.json of the right shape whose numbers, times and texts are any."""
    finite = NUMBERS.filter(lambda number: not isinstance(number, int))
    drawn = content(
        batch=draw(st.sampled_from([1, 4, 2**31, 2**62])),
        samples_per_second=draw(finite),
        accuracy={"acc": draw(finite), "samples": draw(st.sampled_from([0, 1, 64, 1.5, -1]))},
        created=draw(TIMES),
        overrides=["model=dcgan", "a=b"],
        error={"stage": "x", "message": "y", "fix": "z"},
    )

    def changed(node: Any) -> Any:
        if draw(st.integers(0, 40)) == 0:
            if isinstance(node, str):
                return draw(TEXTS)
            return draw(NUMBERS if isinstance(node, (int, float)) or node is None else values)
        if isinstance(node, dict):
            return {draw(TEXTS) if draw(st.integers(0, 30)) == 0 else key: changed(item) for key, item in node.items()}
        return [changed(item) for item in node] if isinstance(node, list) else node

    whole: dict[str, Any] = {key: changed(value) for key, value in drawn.items()}
    return whole | {"schema": 1, "status": draw(st.sampled_from(["ok", "ok", "ok", "failed"]))}


def write(folder: Path, result: Any, config: bytes | None = None) -> str:
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result))
    if config is not None:
        (folder / "config.yaml").write_bytes(config)
    return str(folder)


@given(results=st.lists(hostile(), min_size=1, max_size=4))
@settings(max_examples=60)
def test_results_of_any_value_are_reported_and_compared(results: list[Any], tmp_path: Path) -> None:
    here = tmp_path / str(next(counter))
    runs = [write(here / str(index), result) for index, result in enumerate(results)]
    assert report.main([str(here), "--junit", str(here / "junit.xml")]) in (0, 1)
    assert report.main([str(here), "--table"]) in (0, 1)
    assert compare.main([runs[0], runs[-1]]) in (0, 1, 2)
    assert diff.main([runs[0], runs[-1]]) in (0, 1, 3)


@given(result=hostile())
@settings(max_examples=10)
def test_results_of_any_value_are_in_a_guide(result: Any, tmp_path: Path) -> None:
    run = write(tmp_path / str(next(counter)), result)
    assert guide.main(["model=dcgan", "lang=en", f"--results={run}", f"--out={run}/guide.md"]) in (0, 1)


@given(value=values)
@settings(max_examples=40)
def test_any_saved_configuration(value: Any, tmp_path: Path) -> None:
    here = tmp_path / str(next(counter))
    saved = yaml.safe_dump(value, allow_unicode=False).encode("utf-8", "surrogatepass")
    runs = [write(here / "a", content(model="mine"), saved), write(here / "b", content(model="mine"), b"model: {}")]
    assert diff.main(runs) in (0, 1, 3)
    assert report.main([str(here)]) == 0


SWEEP = json.dumps(
    {"schema": 1, "created": "2026-11-20T12:00:00", "host": "h", "jobs": [{"name": "0", "overrides": ["model=dcgan"]}]}
).encode()


@given(
    sweep=st.one_of(damaged(SWEEP), TIMES.map(lambda time: json.dumps(json.loads(SWEEP) | {"created": time}).encode())),
    name=TEXTS,
)
@settings(max_examples=40)
def test_any_list_of_a_sweep_s_jobs(sweep: bytes, name: str, tmp_path: Path) -> None:
    here = tmp_path / str(next(counter))
    write(here / "0", content())
    (here / "sweep.json").write_bytes(sweep.replace(b'"name": "0"', b'"name": ' + json.dumps(name).encode()))
    assert report.main([str(here)]) in (0, 1)
