"""What the jobs of a sweep vary and share, and what is left."""

from runner.pipeline import workload
from runner.pipeline.prospect import Prospect

DONE = Prospect("weights", "reused", work="w")


def infer(batch: int, action: str = "run") -> Prospect:
    return Prospect("infer", action, work=f"i{batch}")  # type: ignore[arg-type]


def test_the_keys_that_differ_are_told_with_their_values() -> None:
    jobs = [["model=dqn", f"batch={batch}", f"seed={seed}"] for batch in (1, 4, 8) for seed in (0, 1)]
    assert workload.described(jobs) == "6 jobs: batch=1,4,8 x seed=0,1"


def test_a_sweep_of_one_job_varies_nothing() -> None:
    assert workload.described([["model=dqn"]]) == "1 job"


def test_many_values_are_abbreviated() -> None:
    assert workload.described([[f"seed={seed}"] for seed in range(10)]) == (
        "10 jobs: seed=0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    )


def test_work_that_all_jobs_share_is_told_apart_from_what_some_share() -> None:
    jobs = [[DONE, infer(1)], [DONE, infer(1)], [DONE, infer(4)]]
    assert workload.shared_work(workload.add_up(jobs)) == "shared: weights; shared in part: infer"


def test_shared_work_is_counted_once() -> None:
    jobs = [[DONE, infer(1)], [DONE, infer(1)], [DONE, infer(4)]]
    assert workload.left_to_do(workload.add_up(jobs)) == "stored: 0 of 3 jobs; left to run: infer (2)"


def test_a_job_without_a_stage_to_run_is_stored() -> None:
    jobs = [[DONE, infer(1, "reused")], [DONE, infer(4)]]
    assert workload.left_to_do(workload.add_up(jobs)) == "stored: 1 of 2 jobs; left to run: infer"


def test_nothing_is_left_of_jobs_that_are_all_stored() -> None:
    assert workload.left_to_do(workload.add_up([[DONE]])) == "stored: 1 of 1 jobs; left to run: nothing"


def test_a_forced_stage_is_run_by_each_job() -> None:
    forced = Prospect("weights", "run", work="w", is_forced=True)
    counted = workload.add_up([[forced], [forced]])
    assert (counted.shared, counted.left) == ((), {"weights": 2})


def test_a_skipped_stage_is_no_work() -> None:
    assert workload.add_up([[Prospect("compile", "skipped", work="c")]] * 2).shared == ()
