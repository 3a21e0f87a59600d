import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

from runner import callbacks, result
from runner.artifacts import Fidelity, Samples, Scores, Timing, Weights
from runner.result import Failure, StageRecord

FIDELITY = {"a": Fidelity(4, 100.0, 0.9, 0.5, 0.1), "b": Fidelity(3, 50.0, 1.0, 0.2, 0.2)}


OFF = ("gates.fidelity.enabled=false", "gates.batch_invariance.enabled=false")


def scored(origin: str = "file", stand_in: str | None = None, top1: float = 67.3) -> dict:
    return {
        "weights": Weights(Path("/w.pth"), "digest", origin),  # type: ignore[arg-type]
        "prepare": Samples(Path("/s"), "digest", 4, (), ("a", "b", "c", "d"), (0, 1, 2, 3), stand_in),
        "score": Scores({"top1": top1, "top5": 87.9}, 50000, {"output1": Fidelity(4, 100.0, 1.0, 0.0, 0.0)}),
    }


def test_the_worst_output_speaks_for_all() -> None:
    overall = result.overall(FIDELITY)
    assert {name: overall[name] for name in ("samples", "top1_agreement", "cosine", "max_abs", "mean_abs")} == {
        "samples": 3,
        "top1_agreement": 50.0,
        "cosine": 0.9,
        "max_abs": 0.5,
        "mean_abs": 0.2,
    }
    assert set(overall["per_output"]) == {"a", "b"}


def test_a_run_that_meets_what_was_published_passes(run_config) -> None:
    gates = result.judge(run_config("model=moco_v2", "batch=32", "soc=310P3"), scored(), None)
    assert {gate.name: gate.verdict for gate in gates} == {
        "accuracy.top1": "pass",
        "accuracy.top5": "pass",
        "fidelity.output1.cosine": "pass",
        "fidelity.output1.top1_agreement": "pass",
        "batch_invariance": "skip",
    }


def test_a_run_below_what_was_published_fails_and_exits_2(run_config) -> None:
    found = result.build(run_config("model=moco_v2", "batch=32"), [], scored(top1=60.0), [], None, None)
    assert found["status"] == "ok"
    assert callbacks.exit_code(found) == 2


def test_random_weights_and_made_up_data_skip_the_accuracy_gate_and_are_said(run_config) -> None:
    gates = result.judge(run_config("model=moco_v2"), scored("random", "synthetic pictures", top1=0.0), None)
    assert [(gate.verdict, gate.reason) for gate in gates if gate.name == "accuracy.top1"] == [
        ("skip", "random weights; synthetic pictures")
    ]


def test_a_gate_can_be_switched_off(run_config) -> None:
    config = run_config("model=moco_v2", "gates.accuracy.enabled=false", *OFF)
    assert result.judge(config, scored(), None) == []


def test_the_published_row_of_the_same_soc_and_batch_is_taken(run_config) -> None:
    row = result.nearest_published(run_config("model=pnasnet5large").model, "310P3", 8)
    assert row is not None
    assert row.accuracy == {"top1": 81.14}


def test_another_soc_is_judged_by_the_nearest_row(run_config) -> None:
    row = result.nearest_published(run_config("model=pnasnet5large").model, "cpu", 64)
    assert row is not None
    assert row.accuracy == {"top1": 81.16}


def test_the_raw_latencies_are_kept_beside_the_result(tmp_path) -> None:
    result.write_latencies(tmp_path, Timing(4, (3.0, 1.5, 1.25), 2, "a tool", settled_after=1))
    assert json.loads((tmp_path / "latencies_ms.json").read_text()) == {
        "batch": 4,
        "source": "a tool",
        "settled_after": 1,
        "latencies_ms": [3.0, 1.5, 1.25],
    }


def test_a_result_says_when_it_was_made_and_on_how_much_of_which_data(run_config) -> None:
    config = run_config("model=moco_v2", "limit=4")
    found = result.build(config, [], scored(stand_in="synthetic pictures"), [], None, None)
    assert (found["limit"], found["stand_in"]) == (4, "synthetic pictures")
    assert datetime.now(timezone.utc) - datetime.fromisoformat(found["created"]) < timedelta(minutes=1)


def test_a_failed_run_says_where_and_why(run_config) -> None:
    records = [StageRecord("weights", "failed", 0.1, None)]
    found = result.build(run_config("model=dqn"), records, {}, [], None, Failure("weights", "no such file", "make one"))
    assert found["status"] == "failed"
    assert found["error"] == {"stage": "weights", "message": "no such file", "fix": "make one"}
    assert (found["accuracy"], found["performance"], found["gates"]) == (None, None, [])
    assert callbacks.exit_code(found) == 1


def test_the_source_of_a_published_figure_names_the_tool_it_was_made_with(run_config) -> None:
    model = run_config("model=moco_v2", "model.guide.tool=benchmark").model
    found = result.nearest_published(model, "310P3", 32)
    assert found is not None
    assert found.source == "MoCo v2 guide, section 6.2 and table 7.1, bs32 (with benchmark)"
