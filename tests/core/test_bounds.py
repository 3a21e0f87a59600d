"""Bounds of fields, as configurations and hooks declare them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from omegaconf import OmegaConf

from runner.core import ConfigError, Problem, bounded, bounds, one_of


@dataclass
class Inner:
    size: int = bounded(4, least=1)


@dataclass
class Options:
    warmup: int = bounded(3, least=0)
    seconds: float = bounded(1.5, above=0)
    share: float = bounded(0.5, least=0.25)
    limit: int | None = bounded(None, least=1)
    input: str = one_of("random", "real")
    loop: int = bounded(1, least=1, shown_as="tool.adapter.loop")
    name: str = "anything"
    inner: Inner = field(default_factory=Inner)
    each: list[Inner] = field(default_factory=list)


def found(**values: Any) -> list[Problem]:
    return list(bounds.problems(Options(**values)))


def test_the_defaults_are_within_their_bounds() -> None:
    assert found() == []


@pytest.mark.parametrize(
    "values",
    [
        {"warmup": 0},
        {"warmup": 10**30},
        {"seconds": 1e-9},
        {"share": 0.25},
        {"limit": None},
        {"limit": 1},
        {"input": "real"},
        {"name": ""},
    ],
)
def test_a_value_within_its_bounds_is_taken(values: dict[str, Any]) -> None:
    assert found(**values) == []


@pytest.mark.parametrize(
    ("values", "message", "fix"),
    [
        ({"warmup": -1}, "warmup is -1", "give a whole number of at least 0, as warmup=1"),
        ({"limit": 0}, "limit is 0", "give a whole number of at least 1, as limit=1"),
        ({"seconds": 0}, "seconds is 0", "give a number above 0, as seconds=1"),
        ({"seconds": -2.5}, "seconds is -2.5", "give a number above 0, as seconds=1"),
        ({"share": 0.2}, "share is 0.2", "give a number of at least 0.25, as share=1"),
        ({"loop": 0}, "tool.adapter.loop is 0", "give a whole number of at least 1, as tool.adapter.loop=1"),
    ],
)
def test_a_number_out_of_its_bounds_is_told_with_one_that_is_not(
    values: dict[str, Any], message: str, fix: str
) -> None:
    assert found(**values) == [Problem(message, fix)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["warmup", "seconds"])
def test_a_number_that_is_not_finite_is_refused(name: str, value: float) -> None:
    (problem,) = found(**{name: value})
    assert problem.message == f"{name} is {value:g}"


@pytest.mark.parametrize(
    ("value", "told"), [(True, "limit is True"), ("many", "limit is 'many'"), ([1], "limit is [1]")]
)
def test_what_is_no_number_is_refused(value: object, told: str) -> None:
    (problem,) = found(limit=value)
    assert problem.message == told
    assert problem.fix == "give a whole number of at least 1, as limit=1"


def test_another_choice_is_told_with_all_that_there_are() -> None:
    assert found(input="nothing") == [Problem("input is 'nothing'", "choose input from random, real")]


def test_a_mistyped_choice_is_told_with_the_nearest() -> None:
    assert found(input="reel") == [Problem("input is 'reel'", "did you mean real? choose input from random, real")]


def test_the_first_choice_is_the_default_unless_another_is_named() -> None:
    @dataclass
    class Chosen:
        first: str = one_of("a", "b")
        other: str = one_of("a", "b", default="b")

    assert (Chosen().first, Chosen().other) == ("a", "b")


def test_a_field_without_a_default_must_be_given() -> None:
    @dataclass
    class Given:
        count: int = bounded(least=1)

    with pytest.raises(TypeError, match="count"):
        Given()  # type: ignore[call-arg]
    assert list(bounds.problems(Given(0))) == [Problem("count is 0", "give a whole number of at least 1, as count=1")]


def test_what_is_below_is_told_with_its_whole_name() -> None:
    problems = found(inner=Inner(0), each=[Inner(1), Inner(-3)])
    assert [problem.message for problem in problems] == ["inner.size is 0", "each[1].size is -3"]
    assert problems[1].fix == "give a whole number of at least 1, as each[1].size=1"


def test_the_place_of_the_whole_is_told_too() -> None:
    (problem,) = bounds.problems(Options(warmup=-1), "dataset.reader")
    assert problem.message == "dataset.reader.warmup is -1"


def test_all_that_is_out_of_bounds_is_told_at_once() -> None:
    told = [problem.message.split()[0] for problem in found(warmup=-1, seconds=0, input="x", inner=Inner(0))]
    assert told == ["warmup", "seconds", "input", "inner.size"]


def test_omegaconf_takes_a_class_with_bounds_as_any_other() -> None:
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Inner), {"size": -1}))
    assert [problem.message for problem in bounds.problems(config)] == ["size is -1"]


def test_a_number_above_the_most_is_told_with_it() -> None:
    @dataclass
    class Counted:
        count: int = bounded(least=1, most=10)

    assert list(bounds.problems(Counted(10))) == []
    (problem,) = bounds.problems(Counted(11))
    assert problem == Problem("count is 11", "give a whole number of at least 1 and at most 10, as count=1")


def test_the_first_field_out_of_its_bounds_is_raised() -> None:
    bounds.check(Options(), "model.decode")
    with pytest.raises(ConfigError, match=r"model\.decode\.warmup is -1"):
        bounds.check(Options(warmup=-1, seconds=0), "model.decode")
