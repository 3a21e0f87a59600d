"""What a sweep says of its jobs, from the command line."""

import json
import os
import platform
import re
from dataclasses import replace
from pathlib import Path

import pytest

from runner.pipeline import execute, sweep
from runner.pipeline.sweep_job import JobEnd, as_typed
from runner.results import Sweep, SweepJob, sweeps

pytestmark = pytest.mark.slow

BRIEF = ("-m", "weights=random", "hydra.sweep.dir=sweep", "stages=[export]")


def result_of(folder: Path, job: str) -> dict:
    return json.loads((folder / "sweep" / job / "result.json").read_text())


@pytest.mark.parametrize(
    ("override", "typed"),
    [("batch='4'", "batch=4"), ("weights='a=b.pth'", "weights=a=b.pth"), ("seed=1", "seed=1"), ("a=['b']", "a=['b']")],
)
def test_quotes_that_were_put_around_a_value_are_taken_off(override: str, typed: str) -> None:
    assert as_typed(override) == typed


def test_a_sweep_names_all_its_jobs_before_the_first_one_starts(run_tiny, tiny_zoo, monkeypatch) -> None:
    seen = []
    real = execute.make
    monkeypatch.setattr(
        execute,
        "make",
        lambda *made: (seen.append(sweeps.decode((tiny_zoo / "sweep/sweep.json").read_bytes())), real(*made))[1],
    )
    run_tiny(*BRIEF, "batch=1,3", "seed=0,1")
    names = [(job.name, [each for each in job.overrides if each[:4] in ("batc", "seed")]) for job in seen[0].jobs]
    assert names == [
        ("0", ["batch=1", "seed=0"]),
        ("1", ["batch=1", "seed=1"]),
        ("2", ["batch=3", "seed=0"]),
        ("3", ["batch=3", "seed=1"]),
    ]
    assert seen[0].host == platform.node()


def test_a_result_names_the_overrides_of_its_job(run_tiny, tiny_zoo) -> None:
    run_tiny(*BRIEF, "batch=1,3")
    assert {"batch=3", "weights=random", "stages=[export]"} <= set(result_of(tiny_zoo, "1")["overrides"])


def test_a_sweep_tells_how_many_jobs_there_are_what_they_share_and_what_is_left(run_tiny) -> None:
    told = run_tiny(*BRIEF, "batch=1,3", "seed=0,1").stderr
    assert "4 jobs: batch=1,3 x seed=0,1; shared in part: weights, export" in told
    assert "stored: 0 of 4 jobs; left to run: weights (2), export (2)" in told
    assert "job 1: batch=1 seed=1 (2 of 4)" in told
    assert "stored: 4 of 4 jobs; left to run: nothing" in run_tiny(*BRIEF, "batch=1,3", "seed=0,1").stderr


def test_a_dry_run_of_a_sweep_ends_with_the_total_of_its_work(run_tiny, tiny_zoo) -> None:
    told = run_tiny(*BRIEF, "batch=1,3", "dry_run=true").stdout
    assert "total of 2 jobs, shared work counted once: stored: 0 of 2 jobs; left to run: weights, export" in told
    assert not (tiny_zoo / "sweep/sweep.json").exists()


def test_of_more_jobs_than_are_looked_at_a_dry_run_tells_the_number(run_tiny, monkeypatch) -> None:
    monkeypatch.setattr(sweep, "MOST_LOOKED_AT", 1)
    assert run_tiny(*BRIEF, "batch=1,3", "dry_run=true").stdout.endswith("\ntotal of 2 jobs\n")


def test_an_interrupted_sweep_names_the_jobs_that_were_never_started(run_tiny, monkeypatch) -> None:
    def interrupted(stage, inputs, out):
        raise KeyboardInterrupt

    monkeypatch.setattr(execute, "make", interrupted)
    told = run_tiny(*BRIEF, "batch=1,3,4", check=1).stderr
    assert "never started on this host: job 1, job 2" in told


def test_a_sweep_that_is_refused_leaves_no_list_of_jobs(run_tiny, tiny_zoo) -> None:
    run_tiny(*BRIEF, "batch=1,3", "model=tiny,none", check=1)
    assert not (tiny_zoo / "sweep").exists()


def test_jobs_that_run_side_by_side_carry_their_names(run_tiny) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    told = run_tiny(*BRIEF, "batch=1,3", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2").stderr
    lines = [line for line in told.splitlines() if re.search(r"\b(ran|reused)\b|result: ", line)]
    assert len(lines) == 6
    assert all(line.startswith(("[0 batch=1] ", "[1 batch=3] ")) for line in lines)


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A sweep of two jobs in a folder of this host, as it is known when its jobs end."""
    jobs = (SweepJob("0", ("batch=1",)), SweepJob("1", ("batch=3",)))
    monkeypatch.setattr(sweep, "_sweeps", [sweep._Started(tmp_path, jobs=jobs)])
    sweeps.write(tmp_path, Sweep(created="2026-01-02T03:04:05.678+00:00", host="node1", jobs=jobs))
    sweep.record(0)
    yield tmp_path
    sweep.forget()


def end_of(job: str, code: int = 0) -> JobEnd:
    content = {"schema": 1, "created": None, "status": "failed", "error": {"stage": "infer", "message": "", "fix": ""}}
    return JobEnd(job, code, "node2", f"/there/{job}", json.dumps(content).encode())


def test_results_on_the_disk_of_another_host_are_copied_and_that_is_told(begun, monkeypatch, capfd) -> None:
    monkeypatch.setattr(sweep, "_ends", [end_of("0", 1), end_of("1", 1)])
    sweep.finish()
    assert (begun / "1/result.json").read_bytes() == end_of("1").content
    assert "job 0, 1: the results are copied here" in (told := capfd.readouterr().err)
    assert "node2:/there" in told


def test_a_job_without_a_result_is_an_error(begun) -> None:
    (begun / "0").mkdir()
    sweep.finish()
    assert sweep.worst_code() == 1


@pytest.mark.parametrize(("is_written_again", "code"), [(False, 1), (True, 0)])
def test_a_result_of_an_earlier_sweep_in_the_same_folder_is_not_taken_for_the_jobs(
    is_written_again: bool, code: int, begun, monkeypatch
) -> None:
    path = begun / "0/result.json"
    path.parent.mkdir()
    path.write_text('{"schema": 1, "status": "ok", "model": "a", "soc": "cpu", "tool": "b", "batch": 1}')
    monkeypatch.setattr(sweep, "_sweeps", [replace(sweep._sweeps[0], before=sweep._stats_below(begun))])
    if is_written_again:
        os.utime(path, (0, 0))  # by a host whose clock is late
    monkeypatch.setattr(sweep, "_ends", [JobEnd("1", 0, "node2", "/there/1", None)])
    sweep.finish()
    assert sweep.worst_code() == code


def test_a_result_that_lies_here_is_not_copied(begun, monkeypatch, capfd) -> None:
    (begun / "0").mkdir()
    (begun / "0/result.json").write_bytes(end_of("0").content or b"")
    monkeypatch.setattr(sweep, "_ends", [end_of("0", 1)])
    sweep.finish()
    assert "are copied here" not in capfd.readouterr().err


@pytest.mark.parametrize("table", ["dcgan_table", "dpn131_table", "dqn_table", "moco_v2_table", "pnasnet5large_table"])
def test_one_word_sweeps_the_batch_sizes_of_a_guides_table(table: str, run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = table.removesuffix("_table")
    told = run_main(
        f"+experiment={table}", "soc=cpu", "dry_run=true", "weights=random", "limit=1", f"dataset.root={tmp_path}"
    )
    published = run_main("--cfg", "job", f"+experiment={table}").stdout
    batches = sorted(set(map(int, re.findall(r"soc: 310P3\n\s+batch: (\d+)", published))))
    assert f"total of {len(batches)} jobs" in told.stdout
    if len(batches) > 1:
        assert f"{len(batches)} jobs: batch={','.join(map(str, batches))}" in told.stderr
    assert f"model: {model}" in published or f"name: {model}" in published


def test_what_is_typed_counts_more_than_a_guides_table(run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = run_main("+experiment=dcgan_table", "soc=cpu", "batch=1,3", "weights=random", "dry_run=true").stderr
    assert "2 jobs: batch=1,3" in told
