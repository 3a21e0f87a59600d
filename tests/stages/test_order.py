import pytest

from runner.stages import order

PLAIN = order.needs(plays=False, real_inputs=False)


def test_without_options_the_needs_are_those_of_every_run() -> None:
    assert PLAIN == order.NEEDS


def test_a_network_that_plays_makes_the_samples_need_its_weights() -> None:
    assert order.needs(plays=True, real_inputs=False) == {**order.NEEDS, "prepare": ("weights",)}


def test_real_inputs_make_the_benchmark_need_the_samples_after_the_model() -> None:
    assert order.needs(plays=False, real_inputs=True) == {**order.NEEDS, "benchmark": ("compile", "prepare")}


def test_both_options_add_up() -> None:
    both = order.needs(plays=True, real_inputs=True)
    assert (both["prepare"], both["benchmark"]) == (("weights",), ("compile", "prepare"))


def test_asking_for_needs_changes_none_of_those_of_every_run() -> None:
    order.needs(plays=True, real_inputs=True)
    assert (order.NEEDS["prepare"], order.NEEDS["benchmark"]) == ((), ("compile",))


def test_what_a_stage_needs_runs_before_it() -> None:
    both = order.needs(plays=True, real_inputs=True)
    assert list(both) == list(order.STAGES)
    for index, stage in enumerate(order.STAGES):
        assert set(both[stage]) <= set(order.STAGES[:index])


def test_the_store_keeps_the_comparison_of_batch_sizes_too() -> None:
    assert order.STORED == (
        "weights", "export", "simplify", "compile", "prepare", "infer", "reference", "score", "benchmark", "invariance",
    )  # fmt: skip


def test_all_stages_are_wanted_where_none_is_named() -> None:
    assert order.wanted(None, PLAIN) == set(order.STAGES)


def test_none_is_wanted_of_an_empty_list() -> None:
    assert order.wanted([], PLAIN) == set()


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ("weights", {"weights"}),
        ("prepare", {"prepare"}),
        ("export", {"weights", "export"}),
        ("benchmark", {"weights", "export", "simplify", "compile", "benchmark"}),
        ("reference", {"weights", "prepare", "reference"}),
        ("infer", {"weights", "export", "simplify", "compile", "prepare", "infer"}),
        ("score", set(order.STAGES) - {"benchmark"}),
    ],
)
def test_a_stage_brings_all_that_it_needs_and_nothing_else(named: str, wanted: set[str]) -> None:
    assert order.wanted([named], PLAIN) == wanted


def test_several_stages_bring_what_each_needs() -> None:
    assert order.wanted(["prepare", "export"], PLAIN) == {"weights", "export", "prepare"}


def test_the_order_in_which_stages_are_named_does_not_matter() -> None:
    assert order.wanted(["score", "export"], PLAIN) == order.wanted(["export", "score"], PLAIN)


def test_a_network_that_plays_brings_its_weights_to_its_samples() -> None:
    assert order.wanted(["prepare"], order.needs(plays=True, real_inputs=False)) == {"weights", "prepare"}


def test_a_benchmark_on_played_samples_brings_the_weights_too() -> None:
    assert order.wanted(["benchmark"], order.needs(plays=True, real_inputs=True)) == {
        "weights", "export", "simplify", "compile", "prepare", "benchmark",
    }  # fmt: skip
