import numpy as np

from runner.core import TensorSpec
from runner.data import Geometry, Request, rows
from runner.tasks.recognition import SyntheticWords

READER = SyntheticWords(count=5, width=60, height=20, alphabet="京ABC123")


def request(limit=None, seed=0, channels="rgb", size=(20, 60), fit="stretch"):
    tensor = TensorSpec("input", "float32", (1 if channels == "grey" else 3, *size))
    return Request((tensor,), Geometry(fit=fit, channels=channels), limit, seed)


def write(out, reader=READER, **options):
    out.mkdir()
    assert reader.validate(request(**options)) == []
    return reader.write(request(**options), out, None)


def texts(samples):
    return [row.truth for row in rows.read(samples.path)]


def test_words_are_of_the_alphabets_letters_and_digits_and_the_set_is_called_a_substitute(tmp_path):
    samples = write(tmp_path / "out", seed=3)
    assert all(4 <= len(text) <= 7 and set(text) <= set("ABC123") for text in texts(samples))
    assert samples.substitute == "synthetic words generated from seed 3"


def test_pictures_show_their_text(tmp_path):
    samples = write(tmp_path / "out", channels="grey")
    pictures = np.load(samples.path / "input.npy").astype(float)
    assert pictures.shape == (5, 1, 20, 60)
    assert all(picture.min() < 110 and picture.max() > 145 for picture in pictures)  # ink on paper
    assert not np.array_equal(pictures[0], pictures[1])


def test_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path):
    first, again, other = (write(tmp_path / str(n), seed=seed) for n, seed in enumerate((1, 1, 2)))
    assert first.sha256 == again.sha256 != other.sha256


def test_words_do_not_depend_on_the_limit(tmp_path):
    assert texts(write(tmp_path / "1", limit=2)) == texts(write(tmp_path / "2"))[:2]


def test_alphabet_that_cannot_be_drawn_is_refused():
    (problem,) = SyntheticWords(count=1, width=60, height=20, alphabet="京沪").validate(request())
    assert "no letters or digits" in problem.message


def test_pictures_larger_than_the_network_takes_are_refused_early():
    (problem,) = READER.validate(request(size=(8, 8), fit="none"))
    assert "60x20" in problem.message and "dataset.reader.width" in problem.fix


def test_arguments_out_of_bounds_are_named():
    names = [each.message.split()[0] for each in SyntheticWords(count=0, width=0, height=0).validate(request())]
    assert names == [f"dataset.reader.{name}" for name in ("count", "width", "height")]
