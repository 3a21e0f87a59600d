import numpy as np
import pytest

from runner.core import DataError
from runner.tasks.ocr_detection import Hmean, Polygons


def box(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def found(*boxes):
    return Polygons([np.array(each, float) for each in boxes], [1.0] * len(boxes))


def truth(*boxes, ignored=()):
    return {"polygons": [*boxes, *ignored], "ignored": [False] * len(boxes) + [True] * len(ignored)}


def score(results, truths):
    hmean = Hmean()
    hmean.add(results, truths)
    return hmean.compute()


def test_two_of_three_found_and_one_more():
    results = [found(box(0, 0, 10, 10), box(20, 0, 30, 10), box(90, 90, 99, 99), box(60, 0, 70, 10))]
    words = [truth(box(0, 0, 10, 10), box(20, 0, 30, 9), box(40, 0, 50, 10))]
    figures = score(results, words)
    assert (figures["precision"], figures["recall"]) == (50.0, pytest.approx(200 / 3))
    assert figures["hmean"] == pytest.approx(2 * 50 * (200 / 3) / (50 + 200 / 3))


def test_an_overlap_of_exactly_a_half_is_no_match():
    assert score([found(box(0, 0, 10, 5))], [truth(box(0, 0, 10, 10))])["hmean"] == 0.0


def test_a_word_is_matched_once():
    figures = score([found(box(0, 0, 10, 10), box(0, 0, 10, 10))], [truth(box(0, 0, 10, 10))])
    assert (figures["precision"], figures["recall"]) == (50.0, 100.0)


def test_what_lies_in_an_ignored_word_counts_for_nothing():
    words = [truth(box(0, 0, 10, 10), ignored=[box(50, 0, 80, 10)])]
    figures = score([found(box(0, 0, 10, 10), box(55, 0, 65, 10))], words)
    assert figures == {"precision": 100.0, "recall": 100.0, "hmean": 100.0}


def test_an_ignored_word_need_not_be_found():
    assert (
        score([found(box(0, 0, 10, 10))], [truth(box(0, 0, 10, 10), ignored=[box(50, 0, 80, 10)])])["recall"] == 100.0
    )


def test_pictures_without_words_and_finds_are_zero():
    assert score([found()], [truth()]) == {"precision": 0.0, "recall": 0.0, "hmean": 0.0}


def test_parts_merge_to_the_whole():
    results = [found(box(0, 0, 10, 10)), found(box(0, 0, 3, 3))]
    words = [truth(box(0, 0, 10, 10)), truth(box(50, 50, 60, 60))]
    first, second = Hmean(), Hmean()
    first.add(results[:1], words[:1])
    second.add(results[1:], words[1:])
    first.merge(second)
    assert first.compute() == score(results, words)


def test_results_of_another_task_are_told():
    with pytest.raises(DataError, match="hmean compares polygons, and was given a ndarray"):
        score([np.zeros(3)], [truth()])
