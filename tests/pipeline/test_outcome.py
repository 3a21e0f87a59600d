from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from runner.config.schema import RunConfig
from runner.core import Artifact, CompiledModel, Fidelity, Figure, Placement, Samples, Scores, Timing, Weights
from runner.core.artifacts import Origin
from runner.pipeline import outcome
from runner.pipeline.setup import Setup
from runner.results import Failure, Meaning, StageRecord

OFF = ("gates.fidelity.enabled=false", "gates.batch_invariance.enabled=false")
CPU = Placement(soc="cpu", kind="cpu", devices=(0,))
SHARE = Figure(unit="percent", better="higher", is_share=True)

RunConfigs = Callable[..., RunConfig]


def scored(origin: Origin = "file", substitute: str | None = None, top1: float = 67.3) -> dict[str, Artifact]:
    return {
        "weights": Weights(Path("/w.pth"), "digest", origin),
        "prepare": Samples(path=Path("/s"), sha256="digest", count=4, spec=(), has_truth=True, substitute=substitute),
        "score": Scores(
            accuracy={"top1": top1, "top5": 87.9},
            figures={"top1": SHARE, "top5": SHARE},
            samples=50000,
            fidelity={"output1": Fidelity(samples=4, top1_agreement=100.0, cosine=1.0, max_abs=0.0, mean_abs=0.0)},
        ),
    }


def test_a_run_that_meets_what_was_published_passes(run_config: RunConfigs) -> None:
    gates = outcome.judge(Setup(run_config("model=moco_v2", "batch=32", "soc=310P3")), scored())
    assert {gate.name: gate.verdict for gate in gates} == {
        "accuracy.top1": "pass",
        "accuracy.top5": "pass",
        "fidelity.output1.cosine": "pass",
        "fidelity.output1.top1_agreement": "pass",
        "batch_invariance": "skip",
    }


def test_a_run_below_what_was_published_fails_and_exits_2(run_config: RunConfigs) -> None:
    found = outcome.build(Setup(run_config("model=moco_v2", "batch=32")), [], scored(top1=60.0), [], None)
    assert found.status == "ok"
    assert found.exit_code == 2


def test_random_weights_and_made_up_data_skip_the_accuracy_gate_and_are_said(run_config: RunConfigs) -> None:
    gates = outcome.judge(Setup(run_config("model=moco_v2")), scored("random", "synthetic pictures", top1=0.0))
    assert [(gate.verdict, gate.reason) for gate in gates if gate.name == "accuracy.top1"] == [
        ("skip", "random weights; synthetic pictures")
    ]


def test_a_gate_can_be_switched_off(run_config: RunConfigs) -> None:
    config = run_config("model=moco_v2", "gates.accuracy.enabled=false", *OFF)
    assert outcome.judge(Setup(config), scored()) == []


def test_the_published_row_of_the_same_soc_and_batch_is_taken(run_config: RunConfigs) -> None:
    row = outcome.nearest_published(run_config("model=pnasnet5large").model, "310P3", 8)
    assert row is not None
    assert row.accuracy == {"top1": 81.14}


def test_another_soc_is_judged_by_the_nearest_row(run_config: RunConfigs) -> None:
    row = outcome.nearest_published(run_config("model=pnasnet5large").model, "cpu", 64)
    assert row is not None
    assert row.accuracy == {"top1": 81.16}


def test_a_result_says_when_it_was_made_and_on_how_much_of_which_data(run_config: RunConfigs) -> None:
    setup = Setup(run_config("model=moco_v2", "limit=4"))
    found = outcome.build(setup, [], scored(substitute="synthetic pictures"), [], None)
    assert (found.limit, found.stand_in) == (4, "synthetic pictures")
    assert found.created is not None
    assert datetime.now(timezone.utc) - datetime.fromisoformat(found.created) < timedelta(minutes=1)


def test_a_failed_run_says_where_and_why(run_config: RunConfigs) -> None:
    records = [StageRecord("weights", "failed", 0.1, None)]
    failure = Failure("weights", "no such file", "make one")
    found = outcome.build(Setup(run_config("model=dqn")), records, {}, [], failure)
    assert found.status == "failed"
    assert found.error == failure
    assert (found.accuracy, found.performance, found.gates) == (None, None, ())
    assert found.exit_code == 1


def test_the_source_of_a_published_figure_names_the_tool_it_was_made_with(run_config: RunConfigs) -> None:
    model = run_config("model=moco_v2", "model.guide.tool=benchmark").model
    found = outcome.nearest_published(model, "310P3", 32)
    assert found is not None
    assert found.source == "MoCo v2 guide, section 6.2 and table 7.1, bs32 (with benchmark)"


def test_a_result_says_what_each_metric_means(run_config: RunConfigs) -> None:
    found = outcome.build(Setup(run_config("model=moco_v2")), [], scored(), [], None)
    share = Meaning("percent", "higher", is_share=True)
    assert found.metrics == {"top1": share, "top5": share}


def test_what_a_call_costs_is_told_apart_from_the_latencies() -> None:
    timing = Timing(
        batch=4,
        latencies_ms=(2.0, 2.0),
        warmup=1,
        source="a tool",
        load_ms=300.0,
        first_call_ms=40.0,
        peak_rss_bytes=3 << 19,
    )
    found = outcome.performance(timing, CPU)
    assert (found.load_ms, found.first_call_ms, found.peak_rss_mib) == (300.0, 40.0, 1.5)
    assert found.latency_ms.mean == 2.0


def test_what_a_tool_does_not_tell_of_a_call_is_none() -> None:
    found = outcome.performance(Timing(batch=4, latencies_ms=(2.0,), warmup=1, source="a tool"), CPU)
    assert (found.load_ms, found.first_call_ms, found.peak_rss_mib) == (None, None, None)


def timed(batches: tuple[int, ...] = ()) -> dict[str, Artifact]:
    model = CompiledModel(path=Path("/m"), sha256="", soc="310P3", batch=32, inputs=(), outputs=(), batches=batches)
    return {"compile": model, "benchmark": Timing(batch=32, latencies_ms=(10.0,), warmup=1, source="a tool")}


def test_a_throughput_of_one_model_for_several_batch_sizes_says_so(run_config: RunConfigs) -> None:
    setup = Setup(run_config("model=moco_v2", "batch=32", "soc=310P3", "gates.throughput.enabled=true"))
    (gate,) = outcome.judge(setup, timed((1, 32)))
    assert gate.reason == "one model for batch 1, batch 32; published figures are of one for each"
    found = outcome.build(setup, [], timed((1, 32)), [], None)
    assert found.performance is not None
    assert found.performance.gears == ("batch 1", "batch 32")
    assert not found.includes_copies


def test_a_throughput_with_copies_is_not_compared_with_the_published_one(run_config: RunConfigs) -> None:
    setup = Setup(
        run_config("model=moco_v2", "batch=32", "soc=310P3", "tool=onnxruntime", "gates.throughput.enabled=true")
    )
    (gate,) = outcome.judge(setup, timed())
    assert (gate.verdict, gate.measured, gate.expected) == ("skip", 3200.0, None)
    assert gate.reason == "latencies include the copies between host and device, which the published ones leave out"
    assert outcome.build(setup, [], timed(), [], None).includes_copies


def test_latencies_of_the_cpu_include_no_copies(run_config: RunConfigs) -> None:
    assert not outcome.build(Setup(run_config("model=moco_v2")), [], timed(), [], None).includes_copies
