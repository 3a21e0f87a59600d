from pathlib import Path

import pytest

from runner.config import permissions, targets
from runner.config.callables import Target
from runner.core import ConfigError
from runner.core.lazy import torch


def test_siblings_of_target_are_the_arguments() -> None:
    assert targets.parse({"_target_": "zoo.b", "k": 1}, "model.network") == Target("zoo.b", {"k": 1})


@pytest.mark.parametrize("name", [None, 3, "", "nodots", "a b.c", "a..b", "os.system('x').y"])
def test_a_target_that_is_no_dotted_name_is_refused(name: object) -> None:
    with pytest.raises(ConfigError, match=r"model\.network\._target_"):
        targets.parse({"_target_": name}, "model.network")


def test_an_unknown_module_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no module 'zoo\.nothing'"):
        targets.locate(Target("zoo.nothing.Net"))


def test_an_unknown_callable_is_answered_with_the_choices() -> None:
    with pytest.raises(ConfigError, match="top_k"):
        targets.locate(Target("runner.tasks.classification.metrics.topk"))


def test_arguments_that_do_not_fit_are_all_named() -> None:
    with pytest.raises(ConfigError, match="has no argument 'kk' and lacks its argument 'k'"):
        targets.call(Target("runner.tasks.classification.top_k", {"kk": 1}), 1, 2)


def test_a_callable_that_takes_any_keyword_is_given_it() -> None:
    permissions.allow(["builtins"])
    assert targets.call(Target("builtins.dict", {"anything": 1})) == {"anything": 1}


def test_callables_among_a_networks_arguments_are_called_for_it() -> None:
    activation = {"_target_": "torch.nn.LeakyReLU", "negative_slope": 0.5}
    linear = {"_target_": "torch.nn.Linear", "_args_": [3], "out_features": 4}
    target = targets.parse({"_target_": "torch.nn.Sequential", "_args_": [linear, activation]}, "model.network")
    network = targets.call(target)
    assert (network[0].weight.shape, network[1].negative_slope) == ((4, 3), 0.5)


def test_callables_in_lists_and_mappings_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hooks_of_targets.py").write_text("def kept(**given): return given\n")
    monkeypatch.syspath_prepend(tmp_path)
    permissions.allow(["hooks_of_targets"])
    node = {"_target_": "hooks_of_targets.kept", "a": [{"_target_": "hooks_of_targets.kept"}, {"b": {"c": 1}}]}
    node["d"] = {"e": {"_target_": "hooks_of_targets.kept", "f": 2}}
    assert targets.call(targets.parse(node, "model.network")) == {"a": [{}, {"b": {"c": 1}}], "d": {"e": {"f": 2}}}


def test_positional_arguments_that_do_not_fit_are_named() -> None:
    with pytest.raises(ConfigError, match="takes 1 arguments by position, not 2"):
        targets.call(targets.parse({"_target_": "torch.nn.ReLU", "_args_": [True, 3]}, "model.network"))
    with pytest.raises(ConfigError, match=r"_args_ is 3, no list"):
        targets.parse({"_target_": "torch.nn.ReLU", "_args_": 3}, "model.network")


def test_a_nested_callable_that_refuses_its_arguments_is_named() -> None:
    nested = {"_target_": "torch.nn.Linear", "in_features": 3, "out_features": "x"}
    with pytest.raises(ConfigError, match=r"torch\.nn\.Linear\(in_features=3, out_features='x'\) cannot be made"):
        targets.call(targets.parse({"_target_": "torch.nn.Sequential", "_args_": [nested]}, "model.network"))


def test_a_network_that_opens_a_file_as_it_is_built_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", lambda self: Path(__file__).read_bytes())
    with pytest.raises(ConfigError, match=r"torch\.nn\.Linear would read .*test_targets\.py"):
        targets.call(targets.named("torch.nn.Linear", "model.network", {"in_features": 2, "out_features": 2}))


def test_a_name_of_a_thousand_parts_is_refused() -> None:
    with pytest.raises(ConfigError, match="not the dotted name"):
        targets.named(".".join(["zoo"] * 1000), "model.network")
