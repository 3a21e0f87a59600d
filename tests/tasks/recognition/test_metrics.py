import numpy as np
import pytest

from runner.config.callables import Target
from runner.core import DataError
from runner.tasks.metrics import metric_of
from runner.tasks.recognition import CharacterErrorRate, exact
from runner.tasks.recognition.metrics import edit_distances


def naive_distance(left, right):
    """Levenshtein's distance by its definition."""
    table = [[i + j if 0 in (i, j) else 0 for j in range(len(right) + 1)] for i in range(len(left) + 1)]
    for i in range(1, len(left) + 1):
        for j in range(1, len(right) + 1):
            replaced = table[i - 1][j - 1] + (left[i - 1] != right[j - 1])
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, replaced)
    return table[-1][-1]


def rate_of(results, truths, **arguments):
    metric = CharacterErrorRate(**arguments)
    metric.add(results, truths)
    return metric.compute()["cer"]


def test_only_equal_texts_are_exact():
    assert exact(["京A1", "京A1", "", "ab"], ["京A1", "京A2", "a", "ab "]).tolist() == [100, 0, 0, 0]


def test_case_counts_unless_it_is_ignored():
    assert exact(["Word"], ["wORD"]).tolist() == [0]
    assert exact(["Word", "straße"], ["wORD", "STRASSE"], ignore_case=True).tolist() == [100, 100]


def test_punctuation_counts_unless_only_letters_and_digits_are_compared():
    assert exact(["its 5"], ["it's-5!"]).tolist() == [0]
    assert exact(["its 5", "京A·1"], ["it's-5!", "京A1"], only_alphanumeric=True).tolist() == [100, 100]


def test_exact_is_a_share_in_percent_by_its_name_in_the_data_set():
    metric = metric_of("exact", Target("runner.tasks.recognition.exact", {"ignore_case": True}, "dataset.metrics"))
    metric.add(["A", "b", "c", "d"], ["a", "b", "c", "e"])
    assert metric.compute() == {"exact": 75.0}
    figure = metric.figures["exact"]
    assert (figure.unit, figure.better, figure.is_share) == ("percent", "higher", True)


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [
        ("kitten", "sitting", 3),
        ("", "abc", 3),
        ("abc", "", 3),
        ("abc", "abc", 0),
        ("ab", "ba", 2),
        ("京A1", "沪A12", 2),
    ],
)
def test_edits_of_known_pairs(left, right, edits):
    assert edit_distances([left], [right]).tolist() == [edits]


def test_edits_of_many_pairs_are_those_of_each():
    random = np.random.default_rng(0)
    pairs = [["".join(random.choice(list("abcd"), random.integers(0, 9))) for _ in range(2)] for _ in range(300)]
    left, right = zip(*pairs, strict=True)
    assert edit_distances(left, right).tolist() == [naive_distance(*pair) for pair in pairs]


def test_no_pairs_have_no_edits():
    assert edit_distances([], []).tolist() == []


def test_rate_is_of_all_characters_of_the_set():
    assert rate_of(["abcdefgx", "y"], ["abcdefgh", "zz"]) == pytest.approx(100 * (1 + 2) / 10)


def test_rate_may_exceed_100_percent():
    assert rate_of(["abcd"], ["x"]) == 400.0


def test_rate_takes_the_arguments_of_exact():
    assert rate_of(["WORLD"], ["wor-ld"], ignore_case=True, only_alphanumeric=True) == 0.0


def test_rates_of_parts_merge_to_the_whole():
    first, second = CharacterErrorRate(), CharacterErrorRate()
    first.add(["ab"], ["ab"])
    second.add(["x"], ["yz"])
    first.merge(second)
    assert first.compute() == {"cer": 50.0}


def test_texts_without_any_character_to_compare_are_refused():
    with pytest.raises(DataError, match="no characters"):
        rate_of(["a"], ["..."], only_alphanumeric=True)
