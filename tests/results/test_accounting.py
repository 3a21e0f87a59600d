from dataclasses import replace
from pathlib import Path

import pytest

from runner import results
from runner.results import Account, Sweep, SweepJob, sweeps

STARTED = "2026-11-20T12:00:00+00:00"
AFTER = "2026-11-20T12:05:00+00:00"
BEFORE = "2026-11-19T12:00:00+00:00"


@pytest.fixture
def write_sweep(tmp_path):
    """Write a sweep.json of jobs batch=1, batch=4, ... into a folder."""

    def write(folder: str = "sweep", batches: tuple[int, ...] = (1, 4, 8)) -> None:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        jobs = tuple(SweepJob(str(number), (f"batch={batch}",)) for number, batch in enumerate(batches))
        sweeps.write(tmp_path / folder, Sweep(created=STARTED, host="head", jobs=jobs))

    return write


@pytest.fixture
def write_job(write_result):
    """Write the result of a job."""

    def write(folder: str, batch: int, **changes) -> None:
        changes = {"created": AFTER, "overrides": [f"batch={batch}"], "batch": batch} | changes
        write_result(folder, **changes)

    return write


def account(*folders: Path) -> Account:
    (only,) = results.accounts(results.find(folders))
    return only


def names(jobs: tuple[SweepJob, ...]) -> list[str]:
    return [job.name for job in jobs]


def test_every_job_is_done_failed_or_missing(write_sweep, write_job, tmp_path) -> None:
    write_sweep()
    write_job("sweep/0", 1)
    write_job("sweep/1", 4, status="failed")
    found = account(tmp_path)
    assert [names(jobs) for jobs in (found.done, found.failed, found.missing)] == [["0"], ["1"], ["2"]]
    assert found.totals == "3 jobs: 1 done, 1 failed, 1 missing"


def test_results_of_other_hosts_count_where_their_folders_are_named(write_sweep, write_job, tmp_path) -> None:
    write_sweep("head/sweep")
    write_job("head/sweep/0", 1)
    write_job("node/outputs/sweep/1", 4)
    write_job("node/outputs/sweep/2", 8)
    assert names(account(tmp_path / "head").missing) == ["1", "2"]
    assert account(tmp_path / "head", tmp_path / "node").is_complete


def test_copies_of_a_sweep_are_one(write_sweep, write_job, tmp_path) -> None:
    write_sweep("head")
    write_sweep("copy")
    write_job("head/0", 1)
    write_job("copy/1", 4)
    assert account(tmp_path).totals == "3 jobs: 2 done, 1 missing"


def test_a_missing_job_that_a_later_run_did_is_done(write_sweep, write_job, tmp_path) -> None:
    write_sweep(batches=(1, 4))
    write_job("sweep/0", 1)
    write_job("again", 4)
    assert account(tmp_path).is_complete


@pytest.mark.parametrize(("earlier", "missing"), [((), []), ((AFTER,), []), ((BEFORE,), ["0"])])
def test_beside_the_list_of_jobs_results_are_earlier_that_it_names_and_no_others(
    write_sweep, write_job, tmp_path, earlier: tuple[str, ...], missing: list[str]
) -> None:
    write_sweep(batches=(1,))
    path = tmp_path / "sweep" / "sweep.json"
    sweeps.write(path.parent, replace(sweeps.decode(path.read_bytes()), earlier=earlier))
    write_job("sweep/0", 1, created=BEFORE)  # by a clock that jumped back
    assert names(account(tmp_path).missing) == missing


def test_a_result_of_an_earlier_sweep_in_the_same_folder_does_not_count(write_sweep, write_job, tmp_path) -> None:
    write_sweep(batches=(1,))
    write_job("sweep/0", 1, created=BEFORE)
    assert names(account(tmp_path).missing) == ["0"]


def test_a_result_of_other_overrides_is_not_the_jobs(write_sweep, write_job, tmp_path) -> None:
    write_sweep(batches=(1,))
    write_job("sweep/0", 16)
    assert names(account(tmp_path).missing) == ["0"]


def test_a_sweep_whose_time_is_none_is_skipped_and_named(tmp_path) -> None:
    (tmp_path / "sweep.json").write_text('{"created": "yesterday", "host": "head", "jobs": []}')
    found = results.find([tmp_path])
    assert found.sweeps == ()
    assert "yesterday" in found.skipped[0].reason
