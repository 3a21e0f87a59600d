import numpy as np
import pytest
from PIL import Image

from runner.core import DataError, TensorSpec
from runner.data import Geometry, Request, rows
from runner.tasks.recognition import Words
from runner.tasks.recognition.words import read_texts


def request(limit=None, channels=3):
    return Request((TensorSpec("input", "float32", (channels, 8, 16)),), Geometry(fit="stretch"), limit, 0)


def make(root, names, lines=None, folder="pictures"):
    for seed, name in enumerate(names):
        path = root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    if lines is not None:
        (root / "labels.txt").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(root)


def written(reader, out, **options):
    out.mkdir()
    assert reader.validate(request(**options)) == []
    return reader.write(request(**options), out, None)


def texts(samples):
    return {row.id: row.truth for row in rows.read(samples.path)}


def problem(reader, **options):
    problems = reader.validate(request(**options))
    assert len(problems) == 1 and problems[0].fix
    return problems[0].message


def listed(tmp_path, *lines):
    path = tmp_path / "list.txt"
    path.write_bytes("\n".join(lines).encode())
    return read_texts(path)


def test_samples_are_in_the_order_of_the_list(tmp_path):
    root = make(tmp_path / "data", ["a.png", "b.png", "c.png"], ["c.png 京A1", "a.png 沪B2"])
    samples = written(Words(root), tmp_path / "out")
    assert list(texts(samples).items()) == [("c", "京A1"), ("a", "沪B2")]
    assert samples.has_truth and samples.note is None and samples.substitute is None


def test_pictures_may_lie_beside_the_list_and_the_list_elsewhere(tmp_path):
    root = make(tmp_path / "data", ["sub/a.png"], folder=".")
    (tmp_path / "gt.txt").write_text("sub/a.png\tone\n")
    samples = written(Words(root, labels=str(tmp_path / "gt.txt")), tmp_path / "out")
    assert texts(samples) == {"a": "one"}


def test_text_may_be_the_name_up_to_the_first_underscore(tmp_path):
    root = make(tmp_path / "data", ["京A1.jpg", "京A1_2.jpg"])
    samples = written(Words(root, text_from="name"), tmp_path / "out")
    assert texts(samples) == {"京A1": "京A1", "京A1_2": "京A1"}


def test_name_without_text_is_named(tmp_path):
    assert "1 of the 2 pictures" in problem(Words(make(tmp_path, ["a.png", "_1.png"]), text_from="name"))


def test_lines_have_a_space_a_tab_or_quotes_between_name_and_text(tmp_path):
    assert listed(tmp_path, "a.png two words", "b c.png\tx y", 'd.png, "e, f"', "", "g.png h\r") == {
        "a.png": "two words",
        "b c.png": "x y",
        "d.png": "e, f",
        "g.png": "h",
    }


def test_quotes_inside_quotes_are_escaped(tmp_path):
    assert listed(tmp_path, r'a.png, "\"go\" \\ on"') == {"a.png": r'"go" \ on'}


def test_a_csv_file_has_two_columns(tmp_path):
    path = tmp_path / "labels.CSV"
    path.write_text('photo 1.png,"one, ""two"""\nb.png, 京A1\n', "utf-8-sig")
    assert read_texts(path) == {"photo 1.png": 'one, "two"', "b.png": "京A1"}


@pytest.mark.parametrize("line", ["a.png", "a.png,one,two", "a.png,", "a.png," + "x" * 200_000])
def test_a_line_of_a_csv_file_without_two_columns_is_named(tmp_path, line):
    path = tmp_path / "labels.csv"
    path.write_text(f"b.png,one\n{line}\n")
    with pytest.raises(DataError, match=r"labels.csv:2: 'a.png.*' is not `name text`"):
        read_texts(path)


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    assert listed(tmp_path, "\ufeffa.png x") == {"a.png": "x"}


@pytest.mark.parametrize("line", ["b.png", "b.png\t", 'b.png, ""'])
def test_line_without_a_text_is_named(tmp_path, line):
    with pytest.raises(DataError, match=r"list.txt:2: .*is not `name text`"):
        listed(tmp_path, "a.png x", line)


def test_picture_with_two_lines_is_named(tmp_path):
    with pytest.raises(DataError, match=r"list.txt:2: a.png has a line above"):
        listed(tmp_path, "a.png x", "a.png y")


def test_list_without_lines_is_refused(tmp_path):
    with pytest.raises(DataError, match="lists no pictures"):
        listed(tmp_path, "", " ")


def test_list_that_is_no_utf8_is_refused(tmp_path):
    (tmp_path / "list.txt").write_bytes("a.png 京".encode("gb18030"))
    with pytest.raises(DataError, match="not a text file in UTF-8"):
        read_texts(tmp_path / "list.txt")


def test_missing_list_is_named_with_the_other_way(tmp_path):
    root = make(tmp_path, ["a.png"])
    (found,) = Words(root).validate(request())
    assert "labels.txt: No such file" in found.message and "text_from=name" in found.fix


def test_listed_pictures_that_are_missing_are_named(tmp_path):
    root = make(tmp_path, ["a.png"], ["a.png x", "b.png y"])
    assert "1 of the 2 pictures" in problem(Words(root)) and "b.png" in problem(Words(root))


def test_no_root_is_a_problem():
    assert problem(Words()) == "dataset.root is not set"


def test_model_without_a_picture_input_is_refused(tmp_path):
    assert "the data set holds pictures" in problem(Words(make(tmp_path, ["a.png"], ["a.png x"])), channels=1)


def test_unknown_source_of_texts_is_refused(tmp_path):
    assert "dataset.reader.text_from is 'lmdb'" in problem(
        Words(make(tmp_path, ["a.png"], ["a.png x"]), text_from="lmdb")
    )


def test_texts_are_part_of_the_content(tmp_path):
    root = make(tmp_path, ["a.png", "b.png"], ["b.png x", "a.png y"])
    content = Words(root).content(request(limit=1), lambda folder, files: [str(file) for file in files])
    assert content == {"ids": ["b"], "truths": ["x"], "sha256": ["b.png"]}


def test_limit_takes_the_first_of_the_list_and_says_if_there_are_fewer(tmp_path):
    root = make(tmp_path / "data", ["a.png", "b.png"], ["b.png x", "a.png y"])
    assert texts(written(Words(root), tmp_path / "1", limit=1)) == {"b": "x"}
    assert "only 2 pictures" in written(Words(root), tmp_path / "2", limit=5).note


def test_texts_with_characters_that_the_model_lacks_are_counted_in_either_case(tmp_path):
    root = make(tmp_path / "data", ["a.png", "b.png", "c.png"], ["a.png AB", "b.png a-b", "c.png é"])
    samples = written(Words(root, alphabet="ab"), tmp_path / "out")
    assert (
        samples.note == "2 of 3 texts have characters that the model's alphabet lacks (-, é) and count as they are read"
    )


def test_texts_of_another_script_are_refused_early(tmp_path):
    root = make(tmp_path, ["a.png", "b.png"], ["a.png 京", "b.png 沪x"])
    assert "each of the 2 texts has characters that model.decode.alphabet lacks" in problem(
        Words(root, alphabet=["a", "b", "x"])
    )


@pytest.mark.parametrize("name", ["../../secret.png", "a/../a.png", "/dev/null"])
def test_a_list_names_no_picture_outside_of_the_folder(tmp_path, name):
    root = make(tmp_path / "data", ["a.png"], ["a.png one", f"{name} two"])
    (tmp_path / "secret.png").write_bytes((tmp_path / "data" / "pictures" / "a.png").read_bytes())
    told = f"1 of the 2 pictures that {root}/labels.txt lists are not in {root}/pictures: {name}"
    assert told in problem(Words(root))


def test_a_long_line_of_quotes_takes_no_longer_than_another(tmp_path):
    (text,) = listed(tmp_path, 'a,"' + ',"' * 200_000 + " end").values()
    assert text == "end"
