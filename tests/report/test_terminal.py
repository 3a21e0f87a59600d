from rich.console import Console

from runner import results
from runner.config.schema import PublishedConfig
from runner.report import failures, tables, terminal
from runner.results import Account, Sweep, SweepJob

PUBLISHED = {
    "dcgan": (
        PublishedConfig(soc="310P3", batch=1, samples_per_second=200.0, source="row 1"),
        PublishedConfig(soc="310P3", batch=4, samples_per_second=800.0, source="row 2"),
        PublishedConfig(soc="310", batch=1, samples_per_second=0.0, source="row 3"),
    )
}


def shown(renderable: object) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def the_table(folder) -> str:
    (section,) = tables.sections(results.newest(results.find([folder]).results), PUBLISHED)
    return shown(terminal.render(section.table))


def test_a_table_shows_the_best_batch(write_result, tmp_path) -> None:
    write_result("0", batch=1, samples_per_second=1.0)
    write_result("1", batch=4, samples_per_second=2.0)
    assert "best batch: 310P3 4" in the_table(tmp_path)


def test_a_wide_table_is_shown_in_parts_with_the_keys_in_each(write_result, tmp_path) -> None:
    for soc in ("310", "310P3", "t4"):
        for threads in (1, 2):
            write_result(f"{soc}{threads}", soc=soc, overrides=[f"tool.adapter.threads={threads}"])
    text = the_table(tmp_path)
    assert text.count("┃ threads ┃") > 1
    assert "310P/T4" in text


def test_a_failed_run_tells_the_whole_error_its_fix_and_its_log(write_result, tmp_path) -> None:
    error = {"stage": "compile", "message": "[bold]no atc\nmore", "fix": "install CANN"}
    path = write_result("2", batch=8, status="failed", error=error, overrides=["seed=7"])
    path.with_name("run.log").write_text("")
    (failed,) = results.failed(results.find([tmp_path]).results)
    text = shown(terminal.render_failed(failures.described(failed)))
    assert "failed: dcgan on 310P3 with ais_bench, batch 8, noise, seed=7: compile: [bold]no atc\nmore" in text
    assert "    fix: install CANN" in text
    assert "run.log" in text


def test_each_of_several_problems_of_a_failed_run_stands_with_its_fix(write_result, tmp_path) -> None:
    several = [{"message": "no data", "fix": "give dataset.root=DIR"}, {"message": "no atc", "fix": "install CANN"}]
    told = {"message": "no data\nno atc", "fix": "give dataset.root=DIR\ninstall CANN"}
    write_result("2", status="failed", error={"stage": "preflight", **told, "problems": several})
    (failed,) = results.failed(results.find([tmp_path]).results)
    _, *lines = failures.lines(failures.described(failed))
    assert lines == ["    fix: give dataset.root=DIR", "preflight: no atc", "    fix: install CANN"]


def test_a_sweep_names_the_jobs_that_are_missing() -> None:
    jobs = tuple(SweepJob(str(number), (f"batch={number}",)) for number in range(3))
    sweep = Sweep(created="2026-11-20T12:00:00+00:00", host="head", jobs=jobs)
    account = Account(folder="sweeps/a", sweep=sweep, done=jobs[:1], failed=jobs[1:2], missing=jobs[2:])
    text = shown(terminal.render_sweep(account))
    assert "sweeps/a on head: 3 jobs: 1 done, 1 failed, 1 missing" in text
    assert "missing: job 2 (batch=2): not started, killed, or its result is on another host's disk" in text
