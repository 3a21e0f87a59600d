from runner.results.differences import Difference, as_text, differences


def test_nested_values_get_one_name_each() -> None:
    before = {"a": {"b": 1}, "c": [1, 2], "d": [{"e": 3}], "f": {}}
    after = {"a": {"b": 2}, "c": [1], "d": [{"e": 4}], "f": {"g": 5}}
    assert list(differences(before, after)) == [
        Difference("a.b", 1, 2),
        Difference("c", [1, 2], [1]),
        Difference("d[0].e", 3, 4),
        Difference("f.g", "(none)", 5),
    ]


def test_equal_values_have_no_differences() -> None:
    values = {"a": {"b": float("nan")}, "c": [{"name": "x"}], "d": None}
    assert list(differences(values, values)) == []


def test_published_figures_are_compared_by_soc_and_batch() -> None:
    first, second = {"soc": "310", "batch": 1, "rate": 10.0}, {"soc": "310P3", "batch": 1, "rate": 20.0}
    changed = {**second, "rate": 25.0}
    assert list(differences({"published": [first, second]}, {"published": [changed]})) == [
        Difference("published[310 batch 1]", first, "(none)"),
        Difference("published[310P3 batch 1].rate", 20.0, 25.0),
    ]


def test_inputs_are_compared_by_name() -> None:
    ids, mask = {"name": "ids", "shape": [8]}, {"name": "mask", "shape": [8]}
    assert list(differences({"inputs": [ids, mask]}, {"inputs": [mask]})) == [Difference("inputs[ids]", ids, "(none)")]


def test_items_that_share_a_name_are_compared_by_their_place() -> None:
    one, two = {"soc": "310", "batch": 1, "rate": 1.0}, {"soc": "310", "batch": 1, "rate": 2.0}
    assert list(differences({"published": [one, one]}, {"published": [one, two]})) == [
        Difference("published[1].rate", 1.0, 2.0)
    ]


def test_a_list_of_mappings_in_place_of_another_list_is_shown_as_it_is() -> None:
    before, after = {"deviations": ["a"]}, {"deviations": [{"en": "a"}]}
    assert list(differences(before, after)) == [Difference("deviations", ["a"], [{"en": "a"}])]


def test_true_is_not_one() -> None:
    assert list(differences({"x": True}, {"x": 1})) == [Difference("x", True, 1)]


def test_numbers_are_shortened_only_where_they_still_differ() -> None:
    assert as_text(Difference("rate", 100.12345678, 200.0)) == ("100.123", "200")
    assert as_text(Difference("rate", 1.00000001, 1.0)) == ("1.00000001", "1.0")


def test_a_mapping_is_shown_in_one_line() -> None:
    assert as_text(Difference("reader", {"count": 8, "of": {"a": 1}}, "(none)")) == ("{count: 8, of: {a: 1}}", "(none)")
