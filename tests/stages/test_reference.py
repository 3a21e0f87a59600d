import pytest

from runner.stages.reference import spread


@pytest.mark.parametrize(
    ("count", "wanted", "indices"),
    [(5, None, [0, 1, 2, 3, 4]), (5, 9, [0, 1, 2, 3, 4]), (5, 5, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (9, 1, [0])],
)
def test_the_samples_are_spread_over_the_whole_data_set(count, wanted, indices) -> None:
    assert spread(count, wanted) == indices


def test_no_sample_is_chosen_twice() -> None:
    for count in range(1, 60):
        for wanted in range(1, count + 1):
            assert len(set(spread(count, wanted))) == wanted
