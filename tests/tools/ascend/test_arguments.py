import pytest

from runner.tools.ascend import _arguments as arguments


@pytest.mark.parametrize(
    ("value", "text"), [("full", "full"), (4, "4"), (True, "1"), (False, "0"), ([100, 200], "100,200")]
)
def test_a_value_is_spelt_as_the_tools_take_it(value, text) -> None:
    assert arguments.flags({"flag": value}) == ("--flag", text)


def test_a_file_is_named_so_that_it_is_found_from_any_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert arguments.flags({"aipp_config": "aipp.config"}, ["aipp_config"])[1] == str(tmp_path / "aipp.config")


def test_a_file_that_is_not_there_is_a_problem() -> None:
    (problem,) = arguments.problems({"aipp_config": "nowhere.config"}, {}, files=["aipp_config"])
    assert problem.message == "tool.arguments.aipp_config=nowhere.config is not there"


def test_a_flag_of_the_runners_own_is_a_problem_with_the_reason() -> None:
    (problem,) = arguments.problems({"loop": 4}, {"loop": "it counts"}, ["loop"])
    assert problem.message == "tool.arguments.loop=4 cannot be given: it counts"


def test_the_choices_for_an_unknown_flag_are_not_the_runners_own() -> None:
    (problem,) = arguments.problems({"xyz": 4}, {"loop": ""}, ["loop", "debug"])
    assert problem.fix == "choose from debug"


def test_any_flag_will_do_for_a_tool_that_cannot_be_asked() -> None:
    assert arguments.problems({"xyz": 4}, {}) == []


@pytest.mark.parametrize("value", [None, {"a": 1}])
def test_a_value_that_is_no_text_is_a_problem(value) -> None:
    (problem,) = arguments.problems({"debug": value}, {}, ["debug"])
    assert problem.message == f"tool.arguments.debug is {value}"
