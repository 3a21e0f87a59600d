import numpy as np
import pytest

from runner.core import ConfigError, DataError
from runner.data import Row
from runner.tasks.recognition import CharacterErrorRate, Ctc, exact

PLATES = "京沪津0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def outputs_of(texts, alphabet, blank, positions, layout="NTC"):
    """The scores that a perfect network gives: a class per position, with a blank between equal characters."""
    classes = [*alphabet[:blank], None, *alphabet[blank:]]
    scores = np.random.default_rng(0).uniform(-1, 0, (len(texts), positions, len(classes))).astype(np.float32)
    for number, text in enumerate(texts):
        path = []
        for index, character in enumerate(text):
            path += [blank] if index and character == text[index - 1] else []
            path += [classes.index(character)] * (1 + index % 2)  # some last two positions
        path += [blank] * (positions - len(path))
        scores[number, np.arange(positions), path] = 1
    return scores if layout == "NTC" else scores.transpose(0, 2, 1)


def best(classes, count):
    """Scores [1, positions, classes] whose best classes are given."""
    return np.eye(count, dtype=np.float32)[np.array([classes])]


def decode(scores, **arguments):
    return Ctc(**arguments)({"output": scores}, [Row(id=str(index)) for index in range(len(scores))])


@pytest.mark.parametrize("layout", ["NTC", "NCT"])
@pytest.mark.parametrize(("blank", "index"), [("first", 0), ("last", len(PLATES)), (5, 5)])
def test_truth_through_the_decoder_is_exact(layout, blank, index):
    texts = ["京A11223", "沪00Z", "津99999", "5"]
    results = decode(outputs_of(texts, PLATES, index, 18, layout), alphabet=PLATES, blank=blank, layout=layout)
    assert results == texts
    assert exact(results, texts).tolist() == [100.0] * 4
    rate = CharacterErrorRate()
    rate.add(results, texts)
    assert rate.compute() == {"cer": 0.0}


def test_repeats_are_one_character_unless_a_blank_is_between():
    assert decode(best([1, 1, 0, 1, 2, 2], 3), alphabet="ab") == ["aab"]


def test_blanks_alone_are_an_empty_text():
    assert decode(best([0, 0, 0], 3), alphabet="ab") == [""]


def test_each_row_starts_anew():
    scores = np.concatenate([best([1, 2], 3), best([2, 2], 3)])
    assert decode(scores, alphabet="ab") == ["ab", "b"]


def test_a_class_may_stand_for_several_characters():
    assert decode(best([1, 2], 3), alphabet=["ch", "a"]) == ["cha"]


@pytest.mark.parametrize("shape", [(1, 18, 4), (1, 3, 18), (1, 3)])
def test_other_number_of_classes_is_refused(shape):
    with pytest.raises(DataError, match="reads NTC with 3 classes: 2 characters and the blank"):
        decode(np.zeros(shape, np.float32), alphabet="ab")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alphabet": ""}, "model.decode.alphabet is ''"),
        ({"alphabet": []}, r"model.decode.alphabet is \[\]"),
        ({"alphabet": ["a", ""]}, "model.decode.alphabet is"),
        ({"alphabet": "ab", "blank": 3}, "model.decode.blank is 3"),
        ({"alphabet": "ab", "blank": -1}, "model.decode.blank is -1"),
        ({"alphabet": "ab", "layout": "TNC"}, "model.decode.layout is 'TNC'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Ctc(**arguments)
