from pathlib import Path

import yaml

from runner import results
from runner.results.edits import with_edits


def edited(folder: Path) -> list[dict[str, str]]:
    return [run.edited for run in with_edits(results.find([folder]).results)]


def configured(write_result, number: int, model: dict, tool_part: dict | None = None, **changes) -> None:
    path = write_result(f"run{number}", **changes)
    content = {"model": model, "dataset": {"name": "noise"}, "soc": {"name": "310P3"}, "tool": tool_part or {}}
    (path.parent / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_keys_that_were_edited_between_two_runs_are_told_with_their_values(write_result, tmp_path) -> None:
    configured(write_result, 0, {"name": "dcgan", "preprocess": {"resize": 70, "mean": [0.0]}}, batch=1)
    configured(write_result, 1, {"name": "dcgan", "preprocess": {"resize": 72, "mean": [0.0]}}, batch=8)
    assert edited(tmp_path) == [{"model.preprocess.resize": "70"}, {"model.preprocess.resize": "72"}]


def test_a_run_like_the_first_of_three_shares_its_values(write_result, tmp_path) -> None:
    for number, resize in enumerate((70, 72, 70)):
        configured(write_result, number, {"resize": resize}, batch=number + 1)
    assert [each["model.resize"] for each in edited(tmp_path)] == ["70", "72", "70"]


def test_keys_that_were_typed_are_told_elsewhere(write_result, tmp_path) -> None:
    configured(write_result, 0, {"export": {"opset": 11}})
    configured(write_result, 1, {"export": {"opset": 13}}, overrides=["model=dcgan", "model.export.opset=13"])
    assert edited(tmp_path) == [{}, {}]


def test_texts_about_a_model_are_no_difference(write_result, tmp_path) -> None:
    configured(write_result, 0, {"about": "a", "published": [], "checkpoint": {"url": None}})
    configured(write_result, 1, {"about": "b", "published": [{"soc": "310", "batch": 1}], "checkpoint": {"url": "u"}})
    assert edited(tmp_path) == [{}, {}]


def test_many_keys_are_told_as_one_digest(write_result, tmp_path) -> None:
    for number in (0, 1):
        configured(write_result, number, {key: number for key in "abcd"}, batch=number + 1)
    first, second = edited(tmp_path)
    assert list(first) == list(second) == ["model configuration"]
    assert first != second


def test_tools_are_compared_with_themselves_alone(write_result, tmp_path) -> None:
    configured(write_result, 0, {}, {"mode": "api"}, tool="ais_bench")
    configured(write_result, 1, {}, {"mode": None}, tool="ais_infer")
    assert edited(tmp_path) == [{}, {}]


def test_a_run_whose_configuration_is_not_at_hand_is_not_compared(write_result, tmp_path) -> None:
    configured(write_result, 0, {"a": 1})
    write_result("run1")
    assert edited(tmp_path) == [{}, {}]


def test_a_configuration_that_cannot_be_read_is_told_from_others(write_result, tmp_path) -> None:
    configured(write_result, 0, {"a": 1})
    configured(write_result, 1, {"a": 1})
    (tmp_path / "run1" / "config.yaml").write_text("model:\n  a: [\n")
    assert edited(tmp_path) == [{"model": "{a: 1}"}, {"model": "(none)"}]


def test_a_long_value_is_told_as_a_digest(write_result, tmp_path) -> None:
    configured(write_result, 0, {"surgery": ["zoo.one"] * 20})
    configured(write_result, 1, {"surgery": ["zoo.two"] * 20})
    assert [list(each) for each in edited(tmp_path)] == [["model configuration"]] * 2
