import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.core import FREE, DataError, FileHashes, TensorSpec
from runner.data import Geometry, Request, open_picture, picture_size, place, rows
from runner.data.pictures import CHUNK_PICTURES, JOURNAL
from runner.data.preprocess import fit_picture
from runner.data.storage import open_array
from runner.tasks.classification import ImageFolder

GEOMETRY = Geometry(resize=16, interpolation="bilinear", crop=16, channels="rgb")
INPUTS = (TensorSpec("image", "float32", (3, 16, 16)),)


def request(limit=None, geometry=GEOMETRY, inputs=INPUTS):
    return Request(inputs, geometry, limit, 0)


def load(path):
    """A picture's row."""
    (placed,) = place(picture_size(path), GEOMETRY, (16, 16))
    return fit_picture(open_picture(path), placed, GEOMETRY)


def save_picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (18, 20, 3), dtype=np.uint8)).save(path)


def make_folder(root, names, label_lines=None):
    for seed, name in enumerate(names):
        save_picture(root / name, seed)
    if label_lines is not None:
        root.mkdir(exist_ok=True)
        (root / "val_label.txt").write_text("".join(f"{line}\n" for line in label_lines))
    return root


def write(root, out, labels=None, **options):
    out.mkdir(exist_ok=True)
    return ImageFolder(str(root), None if labels is None else str(labels)).write(request(**options), out, None)


def problem_of(root, labels=None):
    problems = ImageFolder(None if root is None else str(root), labels).validate(request())
    assert len(problems) == 1
    assert problems[0].fix
    return str(problems[0])


def stored(samples):
    return np.load(samples.path / "image.npy")


def ids_of(samples):
    return rows.ids(samples.path)


def labels_of(samples):
    return [row.truth for row in rows.read(samples.path)]


def names_of(count):
    return [f"p{index:05d}.png" for index in range(count)]


def labelled_folder(root, count):
    return make_folder(root, [f"val/{name}" for name in names_of(count)], [f"{n} 0" for n in names_of(count)])


def test_flat_folder_is_stored_in_order_of_names_with_ids_and_labels(tmp_path):
    root = make_folder(tmp_path / "data", ["val/b.png", "val/a.JPEG"], ["a.JPEG 7", "b 3"])
    samples = write(root, tmp_path / "out")
    assert (ids_of(samples), labels_of(samples), samples.count) == (["a", "b"], [7, 3], 2)
    assert samples.has_truth
    assert samples.spec == (TensorSpec("image", "float32", (3, 16, 16)),)
    np.testing.assert_array_equal(stored(samples)[1], load(root / "val" / "b.png"))
    assert {path.name for path in samples.path.iterdir()} == {"image.npy", rows.FILE, JOURNAL}
    assert (samples.substitute, samples.note) == (None, None)


def test_nested_and_flat_layouts_give_the_same_samples(tmp_path):
    lines = ["a 0", "b 1", "c 2"]
    flat = make_folder(tmp_path / "flat", ["a.png", "b.png", "c.png"], lines)
    nested = make_folder(tmp_path / "nested", ["val/z/a.png", "val/y/b.png", "val/x/c.png"], lines)
    assert write(flat, tmp_path / "1").sha256 == write(nested, tmp_path / "2").sha256


def test_label_file_lies_beside_the_val_folder_that_is_root(tmp_path):
    root = make_folder(tmp_path, ["val/a.png"], ["a 5"]) / "val"
    assert labels_of(write(root, tmp_path / "out")) == [5]


def test_given_label_file_is_taken(tmp_path):
    root = make_folder(tmp_path / "data", ["a.png"], ["a 5"])
    labels = tmp_path / "mine.txt"
    labels.write_text("a 6\n")
    assert labels_of(write(root, tmp_path / "out", labels)) == [6]


def test_byte_order_mark_blank_lines_and_crlf_are_tolerated(tmp_path):
    root = make_folder(tmp_path / "data", ["a.png", "b.png"])
    (root / "val_label.txt").write_bytes(b"\xef\xbb\xbfa.png 1\r\n\r\n  b.v2.png\t 2 \r\n")
    assert labels_of(write(root, tmp_path / "out")) == [1, 2]


def test_synset_folders_label_by_the_standard_order_without_importing_timm(tmp_path):
    root = make_folder(tmp_path / "data", ["val/n01440764/a.png", "val/n15075141/b.png"])
    assert labels_of(write(root, tmp_path / "out")) == [0, 999]
    assert ImageFolder(str(root)).validate(request()) == []


def test_class_folders_are_numbered_in_the_order_of_their_names_in_classes(tmp_path):
    root = make_folder(tmp_path / "data", ["val/cat/1.png", "val/dog/1.png", "val/ant/2.png"], ["1 5", "2 5"])
    (tmp_path / "out").mkdir()
    samples = ImageFolder(str(root), classes=["dog", "cat", "ant"]).write(request(), tmp_path / "out", None)
    assert list(zip(ids_of(samples), labels_of(samples), strict=True)) == [("cat/1", 1), ("dog/1", 0), ("ant/2", 2)]


def test_class_folder_that_is_not_listed_is_a_problem(tmp_path):
    root = make_folder(tmp_path / "data", ["val/cat/1.png", "val/cow/1.png"])
    (problem,) = ImageFolder(str(root), classes=["dog", "cat"]).validate(request())
    assert "not in a folder named by one of dataset.reader.classes (dog, cat): cow/1.png" in problem.message


def test_labels_from_a_file_and_from_folders_are_a_problem(tmp_path):
    root = make_folder(tmp_path / "data", ["val/cat/1.png"], ["1 0"])
    (problem,) = ImageFolder(str(root), labels=str(root / "val_label.txt"), classes=["cat"]).validate(request())
    assert "both dataset.labels and dataset.reader.classes" in problem.message


def test_ids_are_paths_where_file_names_are_not_unique(tmp_path):
    root = make_folder(tmp_path / "data", ["n01440764/a.png", "n01443537/a.png", "n01443537/b.png"])
    samples = write(root, tmp_path / "out")
    assert ids_of(samples) == ["n01440764/a", "n01443537/a", "n01443537/b"]


def test_hidden_and_other_files_are_ignored(tmp_path):
    root = make_folder(tmp_path / "data", ["a.png", ".hidden.png", ".cache/b.png"], ["a 1"])
    (root / "readme.md").write_text("about")
    assert ids_of(write(root, tmp_path / "out")) == ["a"]


def test_links_to_pictures_and_class_folders_are_followed_but_not_in_circles(tmp_path):
    make_folder(tmp_path / "far", ["one.png", "class/two.png"])
    root = make_folder(tmp_path / "data", [], ["a 1", "two 2"])
    (root / "a.png").symlink_to(tmp_path / "far" / "one.png")
    (root / "class").symlink_to(tmp_path / "far" / "class")
    (root / "loop").symlink_to(root)
    assert ids_of(write(root, tmp_path / "out")) == ["a", "two"]


def test_limit_takes_the_first_pictures(tmp_path):
    root = make_folder(tmp_path / "data", ["c.png", "a.png", "b.png"], ["a 1", "b 2", "c 3"])
    samples = write(root, tmp_path / "out", limit=2)
    assert (ids_of(samples), labels_of(samples), samples.note) == (["a", "b"], [1, 2], None)


def test_limit_beyond_the_pictures_takes_all_and_says_so(tmp_path):
    root = make_folder(tmp_path / "data", ["a.png"], ["a 1"])
    samples = write(root, tmp_path / "out", limit=9)
    assert samples.count == 1
    assert samples.note == "limit is 9, there are only 1 pictures: all of them are used"


def test_label_file_with_more_names_than_pictures_is_noted(tmp_path):
    root = make_folder(tmp_path / "data", ["a.png"], ["a 1", "b 2", "c 3"])
    assert ImageFolder(str(root)).validate(request()) == []
    note = write(root, tmp_path / "out").note
    assert note == f"1 of the 3 pictures that {root / 'val_label.txt'} lists"


def test_root_that_is_not_set_is_a_problem_with_both_ways_out():
    text = problem_of(None)
    assert "dataset.root is not set" in text
    assert "dataset.root=DIR" in text
    assert "dataset=synthetic_images" in text


def test_label_file_without_a_root_adds_its_own_problem(tmp_path):
    problems = ImageFolder(None, str(tmp_path / "no.txt")).validate(request())
    assert len(problems) == 2
    assert "dataset.root is not set" in problems[0].message
    assert "no.txt: No such file" in problems[1].message


def test_root_that_is_missing_is_a_problem(tmp_path):
    assert f"{tmp_path / 'nowhere'} is not a folder" in problem_of(tmp_path / "nowhere")


def test_root_that_is_a_file_is_a_problem(tmp_path):
    (tmp_path / "file").touch()
    assert "is a file, not a folder" in problem_of(tmp_path / "file")


def test_folder_without_pictures_is_a_problem(tmp_path):
    (tmp_path / "notes.txt").touch()
    assert "there are no pictures (.jpg" in problem_of(tmp_path)


def test_link_to_nothing_is_a_problem_rather_than_a_smaller_data_set(tmp_path):
    root = make_folder(tmp_path, ["a.png"], ["a 1"])
    (root / "b.png").symlink_to(tmp_path / "gone.png")
    assert "b.png is neither a file nor a link to one" in problem_of(root)


def test_file_name_that_is_not_utf8_is_a_problem(tmp_path):
    make_folder(tmp_path, ["a.png"], ["a 1"])
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).touch()
    assert "is not UTF-8" in problem_of(tmp_path)


def test_names_with_spaces_are_labelled(tmp_path):
    root = make_folder(tmp_path, ["my cat.png"], ["my cat.png 7"])
    assert ImageFolder(str(root)).content(request(), FileHashes(tmp_path / "memory"))["truths"] == [7]


def test_pictures_without_labels_are_a_problem_with_number_and_names(tmp_path):
    root = make_folder(tmp_path, ["a.png", "b.png", "c.png", "d.png", "e.png"], ["a 1"])
    assert "4 of the 5 pictures" in problem_of(root)
    assert "b.png, c.png, d.png and 1 more" in problem_of(root)


@pytest.mark.parametrize("line", ["a one", "a", "a -1", "a 1.0", "a 1 x", "a 99999999999999999999"])
def test_label_line_that_does_not_parse_is_a_problem_with_its_place_and_content(tmp_path, line):
    root = make_folder(tmp_path, ["a.png"], ["b 1", line])
    assert f"val_label.txt:2: {line!r} is not `name label`" in problem_of(root)


def test_a_label_line_may_name_the_pictures_folder(tmp_path):
    root = make_folder(tmp_path, ["a.png", "b.png"], ["val/n01440764/a.png 3", "b.png 4"])
    assert [picture.truth for picture in ImageFolder(str(root))._listing.pictures] == [3, 4]


@pytest.mark.parametrize("below", ["", "val/"])
def test_paths_in_the_list_tell_pictures_of_one_name_apart(tmp_path, below):
    root = make_folder(tmp_path, [f"{below}cat/1.png", f"{below}dog/1.png"], ["cat/1.png 0", "dog/1.png 1"])
    pictures = ImageFolder(str(root))._listing.pictures
    assert [(picture.id, picture.truth) for picture in pictures] == [("cat/1", 0), ("dog/1", 1)]


def test_pictures_of_one_name_without_paths_in_the_list_are_answered_with_how_to_write_them(tmp_path):
    root = make_folder(tmp_path, ["cat/1.png", "dog/1.png"], ["1 0"])
    (problem,) = ImageFolder(str(root)).validate(request())
    assert problem.message.startswith("2 of the 2 pictures")
    assert "as in `cat/1.png 0`" in problem.fix


def test_pictures_that_differ_behind_the_first_dot_are_a_problem(tmp_path):
    assert "a.1.png and a.2.png" in problem_of(make_folder(tmp_path, ["a.1.png", "a.2.png"], ["a 0"]))


def test_two_labels_in_two_folders_for_the_only_picture_of_that_name_are_a_problem(tmp_path):
    root = make_folder(tmp_path, ["1.png"], ["cat/1.png 0", "dog/1.png 1"])
    assert "1 has the labels 0 and 1, in two folders" in problem_of(root)


def test_two_labels_for_one_name_are_a_problem(tmp_path):
    root = make_folder(tmp_path, ["a.png"], ["a.png 1", "a.png 1", "a.jpg 2"])
    assert "val_label.txt:3: a has label 2 here and 1 above" in problem_of(root)


def test_binary_label_file_is_a_problem(tmp_path):
    root = make_folder(tmp_path / "data", ["a.png"])
    save_picture(tmp_path / "labels.png")
    assert "is not a text file" in problem_of(root, str(tmp_path / "labels.png"))


def test_label_file_that_is_a_folder_is_a_problem(tmp_path):
    root = make_folder(tmp_path / "data", ["a.png"])
    assert "Is a directory" in problem_of(root, str(tmp_path))


def test_no_labels_at_all_is_a_problem_that_names_the_ways_out(tmp_path):
    root = make_folder(tmp_path, ["cats/a.png", "n01440764/b.png"])
    text = problem_of(root)
    assert "cats/a.png" in text
    assert "dataset.labels=FILE" in text


def test_label_file_cannot_tell_two_pictures_of_one_name_apart(tmp_path):
    root = make_folder(tmp_path, ["x/a.png", "y/a.jpg"], ["a 1"])
    assert "y/a.jpg and x/a.png" in problem_of(root)


def test_two_files_that_differ_in_their_extension_only_are_a_problem(tmp_path):
    root = make_folder(tmp_path, ["n01440764/a.png", "n01440764/a.jpg"])
    assert "differ only in their extension" in problem_of(root)


@pytest.mark.parametrize(("shape", "shown"), [((100, 1, 1), "[100, 1, 1]"), ((FREE,), "[any]")])
def test_model_that_takes_no_picture_is_a_problem(tmp_path, shape, shown):
    root = make_folder(tmp_path, ["a.png"], ["a 1"])
    problems = ImageFolder(str(root)).validate(request(inputs=(TensorSpec("noise", "float32", shape),)))
    assert f"the model takes noise float32 {shown}" in str(problems[0])


def test_content_is_ids_truths_and_digests_of_the_pictures_used(tmp_path):
    root = make_folder(tmp_path / "data", ["val/a.png", "val/b.png"], ["a 1", "b 2"])
    asked = []

    def hash_files(folder, files):
        asked.extend((folder, file) for file in files)
        return ["digest"]

    content = ImageFolder(str(root)).content(request(limit=1), hash_files)
    assert json.loads(json.dumps(content)) == {"ids": ["a"], "truths": [1], "sha256": ["digest"]}
    assert asked == [(root / "val", Path("a.png"))]


def test_stored_bytes_are_those_of_the_pictures_used(tmp_path):
    root = make_folder(tmp_path, ["a.png", "b.png"], ["a 1", "b 2"])
    assert ImageFolder(str(root)).stored_bytes(request()) == 2 * 3 * 16 * 16


def test_several_processes_write_what_one_does(tmp_path):
    count = 2 * CHUNK_PICTURES + 5
    root = labelled_folder(tmp_path / "data", count)
    samples = write(root, tmp_path / "out")
    expected = [load(root / "val" / name) for name in names_of(count)]
    np.testing.assert_array_equal(stored(samples), np.stack(expected))


def test_broken_pictures_are_named_five_at_most(tmp_path):
    root = labelled_folder(tmp_path / "data", 2 * CHUNK_PICTURES)
    for index in (3, 10, 20, 30, 40, 50, CHUNK_PICTURES + 1):
        (root / "val" / names_of(200)[index]).write_bytes(b"\x89PNG broken")
    with pytest.raises(DataError) as caught:
        write(root, tmp_path / "out")
    assert caught.value.message.count("is not a readable picture") == 5


def test_run_goes_on_after_a_broken_picture_was_mended(tmp_path):
    root = labelled_folder(tmp_path / "data", 3)
    whole = write(root, tmp_path / "whole")
    good = (root / "val" / "p00001.png").read_bytes()
    (root / "val" / "p00001.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"p00001\.png"):
        write(root, tmp_path / "out")
    (root / "val" / "p00001.png").write_bytes(good)
    assert write(root, tmp_path / "out").sha256 == whole.sha256


def test_picture_of_another_size_than_the_model_takes_is_named(tmp_path):
    root = make_folder(tmp_path / "data", ["a.png"], ["a 1"])
    with pytest.raises(DataError, match=r"a\.png is \[3, 18, 20\] after preprocessing, the model takes \[3, 16, 16\]"):
        write(root, tmp_path / "out", geometry=replace(GEOMETRY, resize=None, crop=None))


def test_a_size_that_the_model_does_not_take_is_known_from_the_first_picture(tmp_path):
    root = make_folder(tmp_path / "data", ["a.png", "b.png"], ["a 1", "b 0"])
    (problem,) = ImageFolder(str(root)).validate(request(geometry=Geometry()))
    assert (
        problem.message == "a.png: pictures of 20x18 become 20x18 by model.preprocess, and the model takes [3, 16, 16]"
    )
    assert "model.preprocess.fit" in problem.fix


def test_pictures_of_a_grey_model_are_one_channel(tmp_path):
    root = make_folder(tmp_path / "data", ["colour.png"], ["colour 1", "grey 2"])
    Image.new("L", (28, 28), 77).save(root / "grey.png")
    wanted = {
        "geometry": Geometry(fit="stretch", channels="grey"),
        "inputs": (TensorSpec("i", "float32", (1, 16, 16)),),
    }
    assert ImageFolder(str(root)).validate(request(**wanted)) == []
    stored = np.load(write(root, tmp_path / "out", **wanted).path / "i.npy")
    assert stored.shape == (2, 1, 16, 16)
    assert (stored[1] == 77).all()


def run_child(code, *arguments, **options):
    text = textwrap.dedent(code)
    return subprocess.Popen([sys.executable, "-c", text, *map(str, arguments)], stdout=subprocess.PIPE, **options)


STOPPING_CHILD = """
    import sys, time
    from pathlib import Path
    from runner.core import TensorSpec, shown_by
    from runner.data import Geometry, Request
    from runner.tasks.classification import ImageFolder

    def start(description, total, unit):
        seen = []
        def advance(done):
            seen.append(done)
            if len(seen) == 3:  # the first is what an earlier run had finished
                print("two chunks finished", flush=True)
                time.sleep(600)
        return advance, lambda: None

    if __name__ == "__main__":
        inputs = (TensorSpec("image", "float32", (3, 16, 16)),)
        geometry = Geometry(resize=16, interpolation="bilinear", crop=16, channels="rgb")
        request = Request(inputs, geometry, None, 0)
        with shown_by(start):
            ImageFolder(sys.argv[1]).write(request, Path(sys.argv[2]), None)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A data set of five chunks, and the folder that a run left which was killed after two of them."""
    folder = tmp_path_factory.mktemp("killed")
    root = labelled_folder(folder / "data", 4 * CHUNK_PICTURES + 7)
    (folder / "out").mkdir()
    child = run_child(STOPPING_CHILD, root, folder / "out")
    assert b"two chunks" in child.stdout.readline()
    workers = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    os.kill(child.pid, signal.SIGKILL)
    child.wait(timeout=60)
    child.stdout.close()
    return root, folder / "out", [int(worker) for worker in workers]


def copy_of(folder, target):
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def finished_chunks(out):
    return [json.loads(line)[0] for line in (out / JOURNAL).read_text().splitlines()[1:]]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_workers_end_when_their_parent_is_killed(killed):
    deadline = time.monotonic() + 10
    while any(map(is_running, killed[2])) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert killed[2]
    assert not any(map(is_running, killed[2]))


def is_running(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_killed_run_goes_on_to_the_same_result(killed, tmp_path):
    root, out, _ = killed
    assert len(finished_chunks(out)) == 2
    resumed = write(root, copy_of(out, tmp_path / "resumed"))
    assert resumed.sha256 == write(root, tmp_path / "undisturbed").sha256


def test_finished_chunks_are_not_done_again(killed, tmp_path):
    root, out, _ = killed
    resumed = copy_of(out, tmp_path / "resumed")
    finished = finished_chunks(resumed)
    array = open_array(resumed, "image")
    marked = np.full(array.bytes_of(0), 77, np.uint8).tobytes()
    with array.path.open("r+b") as file:
        for chunk in finished:
            file.seek(array.position(chunk * CHUNK_PICTURES))
            file.write(marked)
    samples = write(root, resumed)
    first_of_chunks = stored(samples)[::CHUNK_PICTURES]
    kept = [chunk for chunk, picture in enumerate(first_of_chunks) if (picture == 77).all()]
    assert kept == sorted(finished)


def test_journal_of_other_pictures_is_not_followed(killed, tmp_path):
    root, out, _ = killed
    other = copy_of(out, tmp_path / "other")
    assert write(root, other, limit=70).sha256 == write(root, tmp_path / "fresh", limit=70).sha256


MEASURING_CHILD = """
    import resource, sys
    from pathlib import Path
    from runner.core import TensorSpec
    from runner.data import Geometry, Normalisation, Request
    from runner.data.batches import iterate
    from runner.tasks.classification import ImageFolder

    if __name__ == "__main__":
        geometry = Geometry(resize=224, interpolation="nearest", crop=224, channels="rgb")
        request = Request((TensorSpec("image", "float32", (3, 224, 224)),), geometry, int(sys.argv[3]), 0)
        samples = ImageFolder(sys.argv[1]).write(request, Path(sys.argv[2]), None)
        for batch in iterate(samples, Normalisation(1.0, (1.0,), (2.0,)), 4):
            pass
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            print(resource.getrusage(who).ru_maxrss * 1024)
"""


def test_memory_of_writing_and_reading_does_not_grow_with_the_pictures(tmp_path):
    root = labelled_folder(tmp_path / "data", 6 * CHUNK_PICTURES)
    peaks = []
    for count in (2 * CHUNK_PICTURES, 6 * CHUNK_PICTURES):  # 19 and 58 MB as stored
        out = tmp_path / str(count)
        out.mkdir()
        printed, _ = run_child(MEASURING_CHILD, root, out, count).communicate(timeout=120)
        peaks.append([int(line) for line in printed.split()])
    assert all(after - before < 8e6 for before, after in zip(*peaks, strict=True))
