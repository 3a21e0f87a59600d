import json
import os
from pathlib import Path

import pytest

from runner import results


def reasons(folder: Path) -> dict[str, str]:
    """Why files were skipped, by the name of their folder."""
    return {Path(one.path).parent.name: one.reason for one in results.find([folder]).skipped}


def test_every_result_below_the_folders_is_found_once(write_result, tmp_path) -> None:
    write_result("a/deep/run")
    write_result("b")
    found = results.find([tmp_path, tmp_path / "a", tmp_path / "b" / "result.json"])
    assert [Path(one.path).parent.name for one in found.results] == ["run", "b"]


def test_the_cache_and_hidden_folders_are_not_entered(write_result, tmp_path) -> None:
    write_result("cache/score/key")
    write_result(".hydra")
    write_result("run")
    assert len(results.find([tmp_path]).results) == 1


def test_a_link_back_to_a_folder_above_is_not_followed(write_result, tmp_path) -> None:
    write_result("run")
    (tmp_path / "run" / "again").symlink_to(tmp_path)
    assert len(results.find([tmp_path]).results) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema": 1, "status": "ok", "mod', "not valid JSON, perhaps half-written"),
        ("", "empty"),
        ('{"value": [{"key": "top1"}]}', "foreign: it has no schema"),
        ("[1, 2]", "foreign: it has no schema"),
        ('{"schema": "v2"}', "foreign: its schema is 'v2'"),
        ('{"schema": 0, "status": "ok"}', "older schema: 0, and this runner reads 1"),
        ('{"schema": 9, "status": "ok"}', "newer schema: 9, and this runner reads 1"),
        ('{"schema": 1, "status": "perhaps"}', "status"),
        ('{"schema": 1, "status": "ok"}', "which model ran on which soc"),
        ("[" * 100_000, ""),
    ],
)
def test_what_is_no_result_is_skipped_and_named(text: str, reason: str, write_result, tmp_path) -> None:
    write_result("good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "result.json").write_text(text)
    found = results.find([tmp_path])
    assert len(found.results) == 1
    assert reason in reasons(tmp_path)["bad"]


def test_bytes_that_are_no_text_are_skipped(tmp_path) -> None:
    (tmp_path / "result.json").write_bytes(b'\xff\xfe{"schema": 1}')
    assert "not valid JSON" in results.find([tmp_path]).skipped[0].reason


def test_a_link_to_nothing_is_skipped_and_named(tmp_path) -> None:
    (tmp_path / "result.json").symlink_to(tmp_path / "nothing")
    assert results.find([tmp_path]).skipped[0].reason == "not a file"


@pytest.mark.parametrize("name", ["result.json", "sweep.json"])
def test_a_folder_or_a_pipe_in_the_place_of_a_file_is_skipped_and_named(name: str, tmp_path) -> None:
    (tmp_path / "a" / name).mkdir(parents=True)
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "b" / name)
    assert reasons(tmp_path) == {"a": "not a file", "b": "not a file"}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"jobs": ' + "[" * 10_000 + "]" * 10_000 + "}", "[1", "{}"])
def test_what_is_no_sweep_is_skipped_and_the_rest_is_read(text: str, write_result, tmp_path) -> None:
    write_result("good")
    (tmp_path / "sweep.json").write_text(text)
    found = results.find([tmp_path])
    assert (len(found.results), len(found.skipped), found.sweeps) == (1, 1, ())


def test_a_file_larger_than_any_result_is_not_read(tmp_path) -> None:
    with (tmp_path / "result.json").open("wb") as file:
        file.truncate((64 << 20) + 1)
    assert results.find([tmp_path]).skipped[0].reason == "it has more than 67108864 bytes"


def test_a_folder_that_is_not_there_is_named(tmp_path) -> None:
    skipped = results.find([tmp_path / "nowhere"]).skipped
    assert [(one.path, one.reason) for one in skipped] == [(str(tmp_path / "nowhere"), "No such file or directory")]


def test_a_link_to_itself_is_named(tmp_path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert len(results.find([tmp_path / "loop"]).skipped) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named(write_result, tmp_path) -> None:
    write_result("run").chmod(0)
    assert results.find([tmp_path]).skipped[0].reason == "Permission denied"


def test_not_a_number_is_read_as_such(write_result, tmp_path) -> None:
    write_result("run", accuracy={"top1": float("nan"), "samples": 8})
    assert str(results.find([tmp_path]).results[0].figures["top1"]) == "nan"


def test_the_time_in_the_file_goes_before_that_of_the_file(write_result, tmp_path) -> None:
    late = write_result("late", created="2026-11-20T12:00:00.000+00:00")
    write_result("early", created="2026-11-20T11:59:59.999+00:00")
    found = results.newest(results.find([tmp_path]).results)
    assert [one.path for one in found] == [str(late)]


def test_a_complete_run_goes_before_a_newer_one_of_fewer_stages(write_result, tmp_path) -> None:
    complete = write_result("complete")
    write_result("score_only", performance=None)
    found = results.newest(results.find([tmp_path]).results)
    assert [one.path for one in found] == [str(complete)]


def test_a_run_that_measured_nothing_stands_beside_no_complete_one_of_a_card(write_result, tmp_path) -> None:
    complete = write_result(
        "complete", performance={"samples_per_second": 1.0, "devices": ["310 device 0"], "chips": 4}
    )
    write_result("score_only", performance=None)
    assert [one.path for one in results.newest(results.find([tmp_path]).results)] == [str(complete)]


def test_runs_of_different_stages_are_both_kept_where_none_is_complete(write_result, tmp_path) -> None:
    write_result("score_only", performance=None)
    write_result("benchmark_only", accuracy=None)
    assert len(results.newest(results.find([tmp_path]).results)) == 2


def test_a_time_that_is_none_is_told(write_result, tmp_path) -> None:
    write_result("odd", created="yesterday")
    assert "yesterday" in results.find([tmp_path]).skipped[0].reason


def test_the_newest_run_of_a_kind_wins(write_result, tmp_path) -> None:
    write_result("b_older", samples_per_second=1.0)
    write_result("a_newer", samples_per_second=2.0)
    assert [one.samples_per_second for one in results.newest(results.find([tmp_path]).results)] == [2.0]


@pytest.mark.parametrize(
    "other",
    [
        {"batch": 4},
        {"soc": "310"},
        {"tool": "ais_infer"},
        {"dataset": "x"},
        {"origin": "random"},
        {"limit": 10},
        {"overrides": ["model.export.opset=13"]},
        {"overrides": ["seed=1"]},
        {"overrides": ["dataset.root=b"]},
        {"weights": {"origin": "file", "path": "/w.pth", "sha256": "cd34"}},
        {"environment": {"host": "kunpeng", "cpu": "x", "packages": {"torch": "2.0"}}},
        {"environment": {"cpu": "Kunpeng 920", "packages": {"torch": "2.0"}}},
        {"environment": {"cpu": "x", "packages": {"torch": "2.1"}}},
        {"environment": {"cpu": "x", "packages": {"torch": "2.0"}, "tools": {"ais_bench": "0.0.2"}}},
        {"performance": {"samples_per_second": 1.0, "devices": ["310P3 device 1"]}},
        {"performance": {"samples_per_second": 1.0, "chips": 4}},
    ],
)
def test_runs_of_another_kind_stand_beside_each_other(other, write_result, tmp_path) -> None:
    write_result("one")
    write_result("other", **other)
    assert len(results.newest(results.find([tmp_path]).results)) == 2


def test_a_run_that_found_nothing_does_not_hide_an_earlier_one(write_result, tmp_path) -> None:
    write_result("full", samples_per_second=1.0)
    write_result("export_only", accuracy=None, performance=None)
    assert [one.samples_per_second for one in results.newest(results.find([tmp_path]).results)] == [1.0]


def test_a_failed_run_is_listed_and_hides_no_earlier_success(write_result, tmp_path) -> None:
    write_result("good", samples_per_second=1.0)
    write_result("failed", status="failed", performance=None, accuracy=None, weights=None)
    found = results.find([tmp_path]).results
    assert [one.samples_per_second for one in results.newest(found)] == [1.0]
    assert [Path(one.path).parent.name for one in results.failed(found)] == ["failed"]


def test_a_failed_run_that_was_done_again_is_not_listed(write_result, tmp_path) -> None:
    write_result("failed", status="failed", performance=None, accuracy=None, weights=None)
    write_result("good")
    assert results.failed(results.find([tmp_path]).results) == []


def test_a_failed_run_is_not_hidden_by_a_success_of_other_overrides(write_result, tmp_path) -> None:
    write_result("failed", status="failed", weights=None, overrides=["model=dcgan", "weights=auto"])
    write_result("good", overrides=["model=dcgan", "weights=random"])
    assert len(results.failed(results.find([tmp_path]).results)) == 1


def test_a_failed_run_is_not_hidden_by_a_success_on_another_host(write_result, tmp_path) -> None:
    asked = ["model=dcgan", "batch=1"]
    write_result("failed", status="failed", overrides=asked, environment={"host": "kunpeng"})
    write_result("good", overrides=asked, environment={"host": "epyc"})
    assert len(results.failed(results.find([tmp_path]).results)) == 1


def test_the_very_same_job_repairs_a_failed_one_however_it_is_carried_out(write_result, tmp_path) -> None:
    write_result("failed", status="failed", overrides=["model=dcgan", "batch=1"])
    write_result("good", overrides=["batch=1", "model=dcgan", "force=[benchmark]", "cache_dir=/c"])
    assert results.failed(results.find([tmp_path]).results) == []


def test_a_success_that_stopped_before_the_failed_stage_repairs_nothing(write_result, tmp_path) -> None:
    stages = [{"name": name, "status": "ran", "seconds": 1.0, "key": None} for name in ("export", "compile")]
    write_result("failed", status="failed", stages=stages)
    write_result("export_only", stages=stages[:1])
    assert len(results.failed(results.find([tmp_path]).results)) == 1


def test_a_run_whose_configuration_was_refused_is_a_failed_one(tmp_path) -> None:
    refused = {"schema": 1, "status": "failed", "gates": [], "stages": [], "error": None}
    (tmp_path / "result.json").write_text(json.dumps(refused))
    assert len(results.failed(results.find([tmp_path]).results)) == 1
