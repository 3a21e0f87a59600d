import sys

import pytest
from hydra.errors import MissingConfigException

from runner.config import groups, options
from runner.core import ConfigError


@pytest.fixture
def own(tmp_path):
    """Write an option of a group in a folder of the user's; returns the folder."""

    def write(group: str, name: str, text: str = "{}"):
        path = tmp_path / "mine" / group / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return tmp_path / "mine"

    return write


def test_few_choices_are_listed_and_many_are_pointed_to() -> None:
    assert "choose from a, b" in options.unknown("soc", "c", ["a", "b"]).fix
    many = [f"model{index}" for index in range(30)]
    assert options.unknown("model", "zzz", many).fix == "`python -m runner.list model` shows all 30"


def test_where_an_option_is_missing_is_told_unless_it_was_typed() -> None:
    error = MissingConfigException("In 'model/mine': Could not find 'dataset/x'", "dataset/x", ["noise"])
    assert str(options.missing(error)).startswith("In 'model/mine': there is no dataset=x")
    error = MissingConfigException("In 'config': Could not find 'dataset/x'", "dataset/x", ["noise"])
    assert str(options.missing(error)).startswith("there is no dataset=x")


def test_what_is_no_missing_option_is_left_to_hydra() -> None:
    assert options.missing(MissingConfigException("no primary config", "config")) is None


def test_a_users_options_stand_beside_the_runners_own(own) -> None:
    found = groups.files("model", own("model", "mine"))
    assert (found["mine"].parent.parent.name, found["dqn"].parent.parent) == ("mine", groups.CONF)


def test_an_option_has_what_it_inherits(own) -> None:
    own("model", "base", "{task: t, network: {_target_: a.b, size: 1}}")
    folder = own("model", "child", "{defaults: [base, _self_], network: {size: 2}}")
    content = options.read(folder / "model" / "child.yaml")
    assert (content["task"], content["network"]) == ("t", {"_target_": "a.b", "size": 2})


def test_options_that_inherit_from_each_other_are_refused(own) -> None:
    own("model", "a", "{defaults: [b], x: 1}")
    folder = own("model", "b", "{defaults: [a], y: 2}")
    with pytest.raises(ConfigError, match=r"a\.yaml inherits from itself"):
        options.read(folder / "model" / "a.yaml")


def test_defaults_that_double_22_times_are_refused_at_once(own) -> None:
    for level in range(22):
        folder = own("model", f"m{level}", f"{{defaults: [m{level + 1}, m{level + 1}]}}")
    own("model", "m22", "{x: 1}")
    with pytest.raises(ConfigError, match="more than 100 files"):
        options.read(folder / "model" / "m0.yaml")


@pytest.mark.parametrize("defaults", ["{a: b}", "text", "[1, 2]", "[[a]]", "[null]", "[{a: b, c: d}]", "7"])
def test_defaults_that_are_no_list_of_names_are_refused(defaults: str, own) -> None:
    with pytest.raises(ConfigError, match="its defaults"):
        options.read(own("model", "a", f"defaults: {defaults}") / "model" / "a.yaml")


@pytest.mark.parametrize("text", ["a: [", "- a list", "", "\0"])
def test_a_file_that_is_no_option_is_named(text: str, own) -> None:
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        options.read(own("model", "broken", text) / "model" / "broken.yaml")


def test_an_option_that_the_runners_own_would_hide_is_refused(own) -> None:
    folder = own("model", "dqn", "name: mine")
    with pytest.raises(ConfigError, match=r"dqn\.yaml is hidden by the runner's own model dqn"):
        options.refuse_hidden(["model=dcgan,dqn"], folder)
    options.refuse_hidden(["model=dcgan", "weights=dqn"], folder)


def test_a_copy_of_the_runners_own_option_hides_nothing(own) -> None:
    options.refuse_hidden(["model=dqn"], own("model", "dqn", (groups.CONF / "model" / "dqn.yaml").read_text()))


def test_packages_beside_a_users_folder_come_after_what_is_installed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", ["", "/installed"])
    options.make_importable(tmp_path / "conf")
    options.make_importable(tmp_path / "conf")
    assert sys.path == ["", "/installed", str(tmp_path)]
