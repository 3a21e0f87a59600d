from __future__ import annotations

import pytest

from runner.core import text


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "none"),
        (["a"], "a"),
        (["a", "b", "c", "d"], "a, b, c, d"),
        (["a", "b", "c", "d", "e"], "a, b, c, d and 1 more"),
    ],
)
def test_of_many_names_the_first_few_are_told(names: list[str], told: str) -> None:
    assert text.first_few(names) == told


def test_how_many_names_are_told_can_be_chosen() -> None:
    assert text.first_few(["a", "b", "c"], shown=1) == "a and 2 more"


@pytest.mark.parametrize(("names", "told"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")])
def test_choices_are_told_with_or(names: list[str], told: str) -> None:
    assert text.either(names) == told


@pytest.mark.parametrize(
    ("typed", "first"), [("resnet81", "resnet18"), ("RESNET18", "resnet18"), ("dgcan", "dcgan"), ("net", "resnet18")]
)
def test_the_nearest_name_comes_first(typed: str, first: str) -> None:
    assert text.nearest(typed, ["dcgan", "dqn", "resnet18"])[0] == first


def test_nothing_is_near_to_a_name_of_another_kind() -> None:
    assert text.nearest("zzz", ["dcgan", "dqn"]) == []


def test_what_is_much_alike_comes_before_what_holds_the_whole_name() -> None:
    assert text.nearest("resnet", ["legacy_resnet_with_more", "resnet1"]) == ["resnet1", "legacy_resnet_with_more"]


def test_of_names_that_are_as_much_alike_the_one_with_the_same_beginning_comes_first() -> None:
    assert text.nearest("resnet", ["xresnet", "resnetx"]) == ["resnetx", "xresnet"]


def test_a_single_letter_is_not_looked_for_within_names() -> None:
    assert text.nearest("n", ["dcgan", "resnet18"]) == []


def test_at_most_so_many_names_are_near() -> None:
    names = [f"resnet{number}" for number in range(10)]
    assert len(text.nearest("resnet", names)) == 5
    assert len(text.nearest("resnet", names, most=2)) == 2


def test_the_nearest_names_are_asked_after() -> None:
    assert text.did_you_mean("dgcan", ["dcgan", "dqn"]) == "did you mean dcgan?"
    assert text.did_you_mean("resnet", ["resnet18", "resnet34"]) == "did you mean resnet18 or resnet34?"


def test_where_no_name_is_near_nothing_is_asked() -> None:
    assert text.did_you_mean("zzz", ["dcgan", "dqn"]) == ""


def test_names_are_alike_whatever_their_capitals() -> None:
    assert text.likeness("DQN", "dqn") == 1
    assert text.likeness("abc", "xyz") == 0


@pytest.mark.parametrize(("name", "writable"), [("", True), ("é汉🙂", True), ("a\udcff", False), ("\ud800", False)])
def test_a_lone_surrogate_is_no_unicode(name: str, writable: bool) -> None:
    assert text.is_unicode(name) == writable


def test_characters_that_cannot_be_seen_are_written_as_escapes() -> None:
    hidden = "\x1b[31m\x7f\x9b\u202e\u2028\udcff\ufffe\U000e0041"
    assert text.visible(hidden) == r"\x1b[31m\x7f\x9b\u202e\u2028\udcff\ufffe\U000e0041"


@pytest.mark.parametrize("shown", ["a b\n\tc", "né汉🙂", r"a\x1b"])
def test_what_can_be_seen_stays_as_it_is(shown: str) -> None:
    assert text.visible(shown) == shown
