import pytest

from runner import targets
from runner.errors import ConfigError
from runner.targets import Target


def test_siblings_of_target_are_the_arguments() -> None:
    assert targets.parse({"_target_": "a.b", "k": 1}, "x") == Target("a.b", {"k": 1})


@pytest.mark.parametrize("name", [None, 3, "", "nodots", "a b.c", "a..b", "os.system('x').y"])
def test_a_target_that_is_no_dotted_name_is_refused(name: object) -> None:
    with pytest.raises(ConfigError, match=r"model\.network\._target_"):
        targets.parse({"_target_": name}, "model.network")


def test_an_unknown_module_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no module 'zoo\.nothing'"):
        targets.locate(Target("zoo.nothing.Net"))


def test_an_unknown_callable_is_answered_with_the_choices() -> None:
    with pytest.raises(ConfigError, match="top_k"):
        targets.locate(Target("runner.metrics.classification.topk"))


def test_arguments_that_do_not_fit_are_all_named() -> None:
    with pytest.raises(ConfigError, match="has no argument 'kk' and lacks its argument 'k'"):
        targets.call(Target("runner.metrics.classification.top_k", {"kk": 1}), 1, 2)


def test_a_callable_that_takes_any_keyword_is_given_it() -> None:
    assert targets.call(Target("builtins.dict", {"anything": 1})) == {"anything": 1}


def test_the_digest_of_a_module_changes_with_a_module_that_it_imports(tmp_path, monkeypatch) -> None:
    package = tmp_path / "digest_zoo"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "blocks.py").write_text("A = 1\n")
    (package / "net.py").write_text("def build():\n    from . import blocks\n    return blocks.A\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = targets.source_digest("digest_zoo.net")
    (package / "blocks.py").write_text("A = 2\n")
    assert targets.source_digest("digest_zoo.net") != before


def test_the_digest_of_a_module_ignores_other_modules(tmp_path, monkeypatch) -> None:
    package = tmp_path / "lonely_zoo"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "net.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = targets.source_digest("lonely_zoo.net")
    (package / "other.py").write_text("A = 2\n")
    assert targets.source_digest("lonely_zoo.net") == before


def test_the_version_of_a_library_stands_for_its_source() -> None:
    assert targets.source_digest("timm").startswith("timm ")
