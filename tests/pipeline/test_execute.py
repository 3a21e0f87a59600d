"""The loop over stages, with stages that cost nothing."""

import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.core import Artifact, StoreError, Timing, ToolError, Weights, waiting
from runner.pipeline import execute
from runner.pipeline.keys import Stage
from runner.pipeline.plan import Plan
from runner.pipeline.setup import Setup
from runner.stages import order
from runner.store import Store, inventory

PLAN = Plan(
    (Stage(name="weights", kind=Weights, spec={}), Stage(name="export", kind=Weights, spec={}, needs=("weights",)))
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Goes through both stages, with or without force, and returns what became of them."""
    meanwhile = {"weights": lambda out: None, "export": lambda out: None}

    def make(stage: Stage, inputs: dict[str, Artifact], out: Path) -> Artifact:
        (out / "a").write_text(stage.name)
        meanwhile[stage.name](out)
        return Weights(out / "a", stage.name, "url")

    def go(force: bool | list[str] = False, **changed) -> list[str]:
        meanwhile.update(changed)
        store = Store(tmp_path, "dqn")
        made = execute.Run(Setup(SimpleNamespace(force=force, stages=None)), store, tmp_path)  # type: ignore[arg-type]
        try:
            made.go(PLAN)
        finally:
            store.close()
        return [record.status for record in made.records]

    monkeypatch.setattr(execute, "make", make)
    return go


@pytest.fixture
def run_benchmark(tmp_path, monkeypatch):
    """Goes through a plan of one measurement that ends with the given reasons against it."""
    plan = Plan((Stage(name="benchmark", kind=Timing, spec={}, announcement="measures for 3 s"),))

    def go(reasons: tuple[str, ...]) -> list[str]:
        timing = Timing(batch=1, latencies_ms=(1.0,), warmup=0, source="x", reasons=reasons)
        monkeypatch.setattr(execute, "make", lambda stage, inputs, out: timing)
        store = Store(tmp_path, "dqn")
        made = execute.Run(Setup(SimpleNamespace(force=False, stages=None)), store, tmp_path)  # type: ignore[arg-type]
        try:
            made.go(plan)
        finally:
            store.close()
        return [record.status for record in made.records]

    return go


def file_of(root: Path, stage: str) -> Path:
    (path,) = root.glob(f"{stage}/*/a")
    return path


def test_stages_run_once_and_are_reused(run) -> None:
    assert run() == ["ran", "ran"]
    assert run() == ["reused", "reused"]


def test_a_measurement_that_is_not_valid_is_made_again_and_that_is_told(run_benchmark, capfd) -> None:
    assert run_benchmark(reasons=("device busy",)) == ["ran"]
    assert "is made again" not in capfd.readouterr().err
    assert run_benchmark(reasons=("device busy",)) == ["ran"]
    told = "benchmark: the stored measurement is not valid (device busy); it is made again"
    assert told in capfd.readouterr().err
    assert run_benchmark(reasons=()) == ["ran"]
    assert run_benchmark(reasons=()) == ["reused"]


def test_what_a_stage_announces_is_said_before_it_is_made(run_benchmark, capfd) -> None:
    run_benchmark(reasons=())
    announced, done = capfd.readouterr().err.splitlines()
    assert announced == "measures for 3 s"
    assert done.split()[:2] == ["benchmark", "ran"]
    run_benchmark(reasons=())
    assert "measures for 3 s" not in capfd.readouterr().err


def test_a_damaged_artifact_alone_is_made_again_and_the_damage_is_told(run, tmp_path, capfd) -> None:
    run()
    file_of(tmp_path, "weights").unlink()
    assert run() == ["ran", "reused"]
    assert "weights: what was stored under" in (told := capfd.readouterr().err)
    assert "is damaged, a is missing; it is made again" in told


def test_an_artifact_that_is_damaged_after_it_was_taken_is_not_used(run, tmp_path) -> None:
    with pytest.raises(StoreError, match=r"what weights made is damaged since this run took it: a has other bytes"):
        _damage_between(run, tmp_path)
    assert run() == ["ran", "ran"]


def _damage_between(run, root: Path) -> None:
    taken = Store.locked

    def damaging(self, stage, key, waiting):
        if stage == "export":
            file_of(root, "weights").write_text("weighty")
        return taken(self, stage, key, waiting)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Store, "locked", damaging)
        run()


def test_a_stage_that_the_disk_stops_gives_its_room_back(run, tmp_path) -> None:
    def stop(out: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left on device"):
        run(weights=stop)
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_stage_that_fails_for_a_reason_of_its_own_keeps_what_may_explain_it(run, tmp_path) -> None:
    def fail(out: Path) -> None:
        raise ToolError("no")

    with pytest.raises(ToolError):
        run(weights=fail)
    assert len(list((tmp_path / "partial").iterdir())) == 1
    assert run(weights=lambda out: None) == ["ran", "ran"]
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_file_that_is_not_there_is_a_fault_and_no_refusal_of_the_machine(run) -> None:
    with pytest.raises(FileNotFoundError):
        run(weights=lambda out: (out / "none").read_text())


def test_forcing_one_stage_makes_that_one_again(run) -> None:
    run()
    assert run(force=["export"]) == ["reused", "ran"]


def test_what_is_stored_names_the_model_that_it_was_made_for(run, tmp_path) -> None:
    run()
    assert {one.model for one in inventory.take(tmp_path, order.STORED).artifacts} == {"dqn"}


def test_waiting_for_a_device_counts_for_no_stage(tmp_path, monkeypatch, caplog) -> None:
    def make(stage: Stage, inputs: dict[str, Artifact], out: Path) -> Timing:
        with waiting("for device 0: pid 7"):
            time.sleep(0.3)
        return Timing(batch=1, latencies_ms=(1.0,), warmup=0, source="x")

    monkeypatch.setattr(execute, "make", make)
    store = Store(tmp_path, "dqn")
    made = execute.Run(Setup(SimpleNamespace(force=False, stages=None)), store, tmp_path)  # type: ignore[arg-type]
    with closing(store):
        made.go(Plan((Stage(name="benchmark", kind=Timing, spec={}),)))
    assert made.records[0].seconds < 0.25
    assert "waiting for device 0: pid 7" in caplog.text
