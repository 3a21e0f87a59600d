import csv
import os
import subprocess
import sys

import pytest

from runner import results
from runner.report import __main__ as report


def test_the_report_is_written_beside_the_results_and_printed(write_result, tmp_path, capsys) -> None:
    write_result("run")
    assert report.main([str(tmp_path)]) == 0
    assert "dcgan (noise, weights from a file)" in capsys.readouterr().out
    assert {"report.md", "report.csv", "report.html"} <= {path.name for path in tmp_path.iterdir()}


def test_out_names_another_folder(write_result, tmp_path) -> None:
    write_result("run")
    assert report.main([str(tmp_path), "--out", str(tmp_path / "else" / "where")]) == 0
    assert (tmp_path / "else" / "where" / "report.html").is_file()


def test_without_results_it_says_what_to_do(tmp_path, capsys) -> None:
    assert report.main([str(tmp_path)]) == 1
    assert "run a model first" in capsys.readouterr().err


def test_without_the_default_folder_it_says_what_to_do(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert report.main([]) == 1
    assert "error: no results below outputs" in capsys.readouterr().err


def test_spoilt_files_are_named_and_the_rest_is_reported(write_result, tmp_path, capsys) -> None:
    write_result("run")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "result.json").write_text('{"schema": 1, ')
    assert report.main([str(tmp_path)]) == 0
    assert f"skipped: {tmp_path}/half/result.json: not valid JSON" in capsys.readouterr().err
    assert "half-written" in (tmp_path / "report.md").read_text()


def test_a_place_that_cannot_be_written_is_an_error_without_a_traceback(write_result, tmp_path, capsys) -> None:
    write_result("run")
    (tmp_path / "taken").write_text("")
    assert report.main([str(tmp_path), "--out", str(tmp_path / "taken")]) == 1
    assert "the report cannot be written" in capsys.readouterr().err


def test_the_csv_has_a_row_a_result_with_the_published_figure(write_result, tmp_path) -> None:
    write_result("old", samples_per_second=1.0)
    write_result("new", samples_per_second=7573.25 / 2)
    write_result("failed", batch=4, status="failed", performance=None, accuracy=None)
    report.main([str(tmp_path)])
    with (tmp_path / "report.csv").open() as file:
        rows = {row["path"].split("/")[-2]: row for row in csv.DictReader(file)}
    assert {name: row["newest"] for name, row in rows.items()} == {"old": "no", "new": "yes", "failed": "no"}
    assert rows["new"]["published_samples_per_second"] == "7573.25"
    assert rows["new"]["measured/published"] == "0.5"
    assert rows["failed"]["samples_per_second"] == ""
    assert rows["new"]["accuracy.acc"] == "100.0"


def test_the_csv_has_the_references_metric_where_a_run_has_it(write_result, tmp_path) -> None:
    fidelity = {"samples": 16, "cosine": 1.0, "equal": 99.5, "accuracy": {"acc": 99.0}, "tool_accuracy": {"acc": 98.0}}
    write_result("new", fidelity=fidelity)
    write_result("old", batch=4)
    report.main([str(tmp_path)])
    with (tmp_path / "report.csv").open() as file:
        rows = {row["path"].split("/")[-2]: row for row in csv.DictReader(file)}
    columns = ("accuracy.acc_reference", "accuracy.acc_same_samples", "fidelity.samples", "fidelity.equal_percent")
    assert [rows["new"][name] for name in columns] == ["99.0", "98.0", "16", "99.5"]
    assert [rows["old"][name] for name in columns] == ["", "", "64", ""]


def test_the_csv_tells_what_was_edited_between_two_runs(write_result, tmp_path) -> None:
    for batch, resize in ((1, 70), (8, 72)):
        path = write_result(f"run{batch}", batch=batch)
        (path.parent / "config.yaml").write_text(f"model:\n  preprocess:\n    resize: {resize}\n")
    assert report.main([str(tmp_path)]) == 0
    with (tmp_path / "report.csv").open() as file:
        assert [row["edited.model.preprocess.resize"] for row in csv.DictReader(file)] == ["70", "72"]


def test_the_csv_tells_what_a_load_and_a_first_call_cost(write_result, tmp_path) -> None:
    told = {"load_ms": 345.5, "first_call_ms": 45.25, "peak_rss_mib": 789.5}
    write_result("told", performance={"samples_per_second": 1.0, **told})
    write_result("untold", batch=4)
    write_result("failed", batch=8, status="failed", performance=None, accuracy=None)
    report.main([str(tmp_path)])
    with (tmp_path / "report.csv").open() as file:
        rows = {row["path"].split("/")[-2]: [row[name] for name in told] for row in csv.DictReader(file)}
    assert rows == {"told": ["345.5", "45.25", "789.5"], "untold": ["", "", ""], "failed": ["", "", ""]}


def test_the_markdown_tells_what_a_load_and_a_first_call_cost(write_result, tmp_path) -> None:
    told = {"load_ms": 345.5, "first_call_ms": 45.25, "peak_rss_mib": 789.5}
    write_result("run", soc="cpu", performance={"samples_per_second": 1.0, "latency_ms": {"mean": 2.0}, **told})
    report.main([str(tmp_path)])
    text = (tmp_path / "report.md").read_text()
    assert "cpu load time (ms) | cpu first call (ms) | cpu peak memory (MiB) |" in text
    assert "| 2.000 | 345.500 | 45.250 | 789.5 |" in text


def rows_of(path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_csv_tells_the_machine_the_versions_and_each_overridden_key(write_result, tmp_path) -> None:
    environment = {
        "host": "h",
        "cpu": "EPYC",
        "commit": "abc+changes",
        "packages": {"torch": "2.0"},
        "tools": {"t": "1"},
    }
    performance = {"samples_per_second": 1.0, "devices": ["310 device 0"], "chips": 4, "measured_at": "2026-11-20"}
    write_result(
        "run", environment=environment, performance=performance, overrides=["batch=1", "tool.adapter.threads=2"]
    )
    report.main([str(tmp_path)])
    (row,) = rows_of(tmp_path / "report.csv")
    told = {"host": "h", "cpu": "EPYC", "commit": "abc+changes", "devices": "310 device 0", "chips": "4"}
    told |= {
        "measured_at": "2026-11-20",
        "version.torch": "2.0",
        "version.t": "1",
        "override.tool.adapter.threads": "2",
    }
    assert {name: row[name] for name in told} == told


def test_no_text_of_the_csv_is_a_formula_and_numbers_stay(write_result, tmp_path) -> None:
    bad = "=HYPERLINK(1)"
    write_result("run", model=bad, dataset="+1", tool="@x", soc="-2", overrides=[f"{bad}={bad}"], accuracy={bad: -3.0})
    report.main([str(tmp_path)])
    (row,) = rows_of(tmp_path / "report.csv")
    assert [row[name] for name in ("model", "dataset", "tool", "soc")] == [f"'{bad}", "'+1", "'@x", "'-2"]
    assert row[f"accuracy.{bad}"] == "-3.0"
    assert not any(name.startswith(("=", "+", "-", "@")) for name in row)


def test_no_file_holds_control_characters_of_a_result_or_its_markup(write_result, tmp_path) -> None:
    bad = "\x1b[31m\u202e<i>x"
    reasons = {"performance": {"samples_per_second": 1.0, "valid": False, "reasons": [bad]}}
    metrics = {bad: {"unit": bad, "better": "higher"}}
    write_result("run", model=bad, accuracy={bad: 1.0}, metrics=metrics, overrides=[f"{bad}={bad}"], **reasons)
    write_result("failed", batch=4, status="failed", error={"stage": "infer", "message": bad, "fix": bad})
    assert report.main([str(tmp_path), "--junit", str(tmp_path / "report.xml")]) == 0
    for name in ("report.md", "report.csv", "report.html", "report.xml"):
        text = (tmp_path / name).read_text()
        assert "x1b" in text
        assert not {"\x1b", "\u202e"} & set(text), name
        assert "<i>" not in text or name == "report.csv"


def test_a_log_in_a_folder_of_any_name_is_linked_to(write_result, tmp_path) -> None:
    folder = os.fsdecode(b"a\xff<b>")
    write_result(folder, batch=4, status="failed", error={"stage": "infer", "message": "m", "fix": "f"})
    (tmp_path / folder / "run.log").touch()
    write_result("good")
    assert report.main([str(tmp_path)]) == 0
    assert 'href="a%FF%3Cb%3E/run.log"' in (tmp_path / "report.html").read_text()


def test_a_missing_job_of_a_sweep_is_told_everywhere(write_result, tmp_path, capsys) -> None:
    jobs = (results.SweepJob("0", ("model=dcgan", "batch=1")), results.SweepJob("1", ("model=dcgan", "batch=4")))
    write_result("0", overrides=list(jobs[0].overrides))
    results.sweeps.write(tmp_path, results.Sweep(created="2001-01-01T00:00:00+00:00", host="head", jobs=jobs))
    assert report.main([str(tmp_path)]) == 0
    assert "on head: 2 jobs: 1 done, 1 missing" in capsys.readouterr().err
    assert "missing: job 1 (model=dcgan batch=4)" in (tmp_path / "report.md").read_text()
    assert "job 1 (model=dcgan batch=4)" in (tmp_path / "report.html").read_text()
    (missing,) = [row for row in rows_of(tmp_path / "report.csv") if row["status"] == "missing"]
    assert (missing["batch"], missing["host"], missing["path"]) == ("4", "head", f"{tmp_path}/1")


def test_a_failed_run_is_told_with_its_fix_and_log_everywhere(write_result, tmp_path, capsys) -> None:
    error = {"stage": "compile", "message": "no atc", "fix": "install CANN"}
    write_result("run/0", status="failed", error=error).with_name("run.log").write_text("")
    assert report.main([str(tmp_path)]) == 0
    for text in (capsys.readouterr().err, *((tmp_path / f"report.{end}").read_text() for end in ("md", "csv", "html"))):
        assert all(part in text for part in ("no atc", "install CANN", "run/0/run.log"))
    assert '<a href="run/0/run.log">run/0/run.log</a>' in (tmp_path / "report.html").read_text()


def test_table_prints_one_markdown_table_and_nothing_else(write_result, tmp_path, capsys) -> None:
    write_result("a", samples_per_second=50.0, overrides=["tool.adapter.threads=1"])
    write_result("b", overrides=["tool.adapter.threads=2"], origin="random", reasons=["device busy"])
    write_result("c", model="other")
    assert report.main([str(tmp_path), "--table", "--model", "dcgan"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| Model | SoC | Tool | Data set | threads | weights | Batch | acc (%) | Throughput (samples/s) |"
        " Latency (ms) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| dcgan | 310P3 | ais\\_bench | noise | 1 | w.pth ab12 | 1 | 100.00 | 50.00 | 2.000 |",
        "| dcgan | 310P3 | ais\\_bench | noise | 2 | ab12 | 1 | 100.00 (random weights) | 100.00 (not valid) |"
        " 2.000 (not valid) |",
    ]
    assert not (tmp_path / "report.md").exists()


def test_what_failed_is_told_beside_the_one_table(write_result, tmp_path, capsys) -> None:
    write_result("a")
    write_result("b", batch=4, status="failed", error={"stage": "infer", "message": "no device", "fix": "plug it in"})
    assert report.main([str(tmp_path), "--table"]) == 0
    printed = capsys.readouterr()
    assert "infer: no device" in printed.err
    assert len(printed.out.splitlines()) == 3


def test_a_model_without_results_is_an_error(write_result, tmp_path, capsys) -> None:
    write_result("run")
    assert report.main([str(tmp_path), "--model", "dqn"]) == 1
    assert "no results of dqn below" in capsys.readouterr().err


def test_the_markdown_has_the_guides_tables(write_result, tmp_path) -> None:
    write_result("1", batch=1, samples_per_second=7573.25)
    write_result("4", batch=4, samples_per_second=34988.598)
    report.main([str(tmp_path)])
    text = (tmp_path / "report.md").read_text()
    assert "| bs1 | 7573.25 | 7573.25 | 1.00 | 2.000 |" in text
    assert "| best batch | 34988.60 | 34988.60 | 1.00 |  |" in text
    assert "### Accuracy" in text


def test_the_markdown_shows_names_as_they_are(write_result, tmp_path) -> None:
    write_result("run", model="a|b<script>`*")
    report.main([str(tmp_path)])
    assert "## a\\|b\\<script\\>\\`\\* (noise, weights from a file)" in (tmp_path / "report.md").read_text()


def test_many_tables_are_cut_in_the_terminal_and_whole_in_the_files(
    write_result, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(report, "MOST_LINES_OF_TABLES", 20)
    for index in range(5):
        write_result(str(index), model=f"model{index}")
    report.main([str(tmp_path)])
    assert "and 3 tables more" in capsys.readouterr().out
    assert "model4" in (tmp_path / "report.md").read_text()


def test_a_folder_that_is_not_there_is_named_and_not_made(write_result, tmp_path, capsys) -> None:
    write_result("run")
    assert report.main([str(tmp_path / "nowhere"), str(tmp_path)]) == 0
    assert f"skipped: {tmp_path}/nowhere: No such file or directory" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("module", ["runner.report", "runner.diff", "runner.compare"])
def test_nothing_heavy_is_imported(module: str, write_result, tmp_path) -> None:
    write_result("run")
    arguments = {
        "runner.report": [str(tmp_path)],
        "runner.diff": ["model=dcgan", "model=dqn"],
        "runner.compare": [str(tmp_path), str(tmp_path)],
    }[module]
    heavy = {"torch", "onnx", "onnxruntime", "timm", "torchvision", "matplotlib", "pandas"}
    script = (
        "import runpy, sys\n"
        f"sys.argv = {[module, *arguments]!r}\n"
        f"try: runpy.run_module({module!r}, run_name='__main__')\n"
        f"except SystemExit: print(sorted({heavy!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_models_file_in_a_folder_of_the_users_is_found_too(write_result, tmp_path, capsys) -> None:
    write_result("run", model="mine", samples_per_second=50.0)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    row = "{soc: 310P3, batch: 1, samples_per_second: 100.0, source: a table}"
    (tmp_path / "conf" / "model" / "mine.yaml").write_text(f"published: [{row}]")
    assert report.main([str(tmp_path / "run"), "--config-dir", str(tmp_path / "conf")]) == 0
    assert "| bs1 | 50.00 | 100.00 | 0.50 |" in (tmp_path / "run" / "report.md").read_text()


def test_a_folder_of_the_users_that_is_not_there_is_an_error(write_result, tmp_path, capsys) -> None:
    write_result("run")
    assert report.main([str(tmp_path), "--config-dir", str(tmp_path / "nowhere")]) == 1
    assert "nowhere: there is no such folder" in capsys.readouterr().err
