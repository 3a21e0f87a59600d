import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.core import (
    Artifact,
    BatchComparison,
    Command,
    CompiledModel,
    Fidelity,
    Figure,
    OnnxModel,
    Predictions,
    Samples,
    Scores,
    StoreError,
    TensorSpec,
    Timing,
    Weights,
)
from runner.core.hashing import sha256_of
from runner.store import Store, inventory, manifests

TENSOR = TensorSpec("image", "uint8", (3, 8, 8))
FIDELITY = Fidelity(samples=8, top1_agreement=100.0, cosine=0.999, max_abs=1e-6, mean_abs=1e-7)


def made_in(out: Path, kind: str) -> Artifact:
    """An artifact of each stage's kind, its files written to `out`."""
    if kind == "score":
        return Scores(
            accuracy={"top1": 76.125},
            figures={"top1": Figure(unit="percent", better="higher", is_share=True)},
            samples=8,
            fidelity={"class": FIDELITY},
        )
    if kind == "invariance":
        return BatchComparison(other_batch=4, outputs={"class": FIDELITY})
    if kind == "benchmark":
        return Timing(batch=1, latencies_ms=(1.5, 2.25, 1.75), warmup=3, source="a clock")
    names = {"prepare": "image.npy", "weights": "a.pth", "infer": "p.npz", "reference": "p.npz"}
    path = out / names.get(kind, "m.onnx")
    path.write_bytes(bytes(range(256)) * 40)
    digest = sha256_of(path)
    if kind == "weights":
        return Weights(path, digest, "url")
    if kind == "prepare":
        return Samples(path=out, sha256=digest, count=2, spec=(TENSOR,), has_truth=True, substitute="noise")
    if kind in ("infer", "reference"):
        return Predictions(path, digest, ("class",), 2)
    if kind == "compile":
        return CompiledModel(
            path=path,
            sha256=digest,
            soc="310P3",
            batch=1,
            inputs=(TENSOR,),
            outputs=(TENSOR,),
            argv=("atc", "--model=m.onnx"),
        )
    return OnnxModel(path=path, sha256=digest, opset=11, batch=None, inputs=(TENSOR,), outputs=(TENSOR,))


WITH_FILES = ("weights", "export", "simplify", "compile", "prepare", "infer", "reference")
STAGES = (*WITH_FILES, "score", "benchmark", "invariance")


def publish_of(store: Store, stage: str) -> Artifact:
    out = store.staging_folder(stage, "k", resumes=False)
    return store.publish(stage, "k", made_in(out, stage), 0.5).artifact


def publish(store: Store, text: str = "abc", key: str = "k") -> Predictions:
    out = store.staging_folder("infer", key, resumes=False)
    (out / "predictions.npz").write_text(text)
    made = Predictions(out / "predictions.npz", "digest", ("a", "b"), 3)
    return store.publish("infer", key, made, 1.5).artifact


def test_what_was_published_is_found_with_its_type_and_path(tmp_path) -> None:
    store = Store(tmp_path)
    made = publish(store)
    found = store.find("infer", "k", Predictions)
    assert found is not None
    assert (found.artifact, found.seconds) == (made, 1.5)
    assert made.path == tmp_path / "infer" / "k" / "predictions.npz"


def test_a_moved_store_still_finds_its_artifacts(tmp_path) -> None:
    publish(Store(tmp_path / "old"))
    (tmp_path / "old").rename(tmp_path / "new")
    found = Store(tmp_path / "new").find("infer", "k", Predictions)
    assert found is not None
    assert found.artifact.path.read_text() == "abc"


def test_an_unknown_key_is_not_found(tmp_path) -> None:
    assert Store(tmp_path).find("infer", "other", Predictions) is None


@pytest.mark.parametrize("damage", ["abd", "ab", None])
def test_changed_shrunk_or_vanished_bytes_are_noticed(tmp_path, damage) -> None:
    store = Store(tmp_path)
    path = publish(store).path
    path.unlink() if damage is None else path.write_text(damage)
    assert store.find("infer", "k", Predictions) is None
    assert store.damage("infer", "k", Predictions)


def test_a_touched_file_with_the_same_bytes_is_still_good(tmp_path) -> None:
    store = Store(tmp_path)
    publish(store).path.touch()
    assert store.find("infer", "k", Predictions) is not None


@pytest.mark.parametrize("manifest", ["", "{", "[]", '{"schema": 99}', '{"schema": 1, "files": 3}'])
def test_a_damaged_manifest_is_no_artifact(tmp_path, manifest) -> None:
    store = Store(tmp_path)
    publish(store)
    (tmp_path / "infer" / "k" / "artifact.json").write_text(manifest)
    assert store.find("infer", "k", Predictions) is None


def test_a_half_made_artifact_is_not_found(tmp_path) -> None:
    store = Store(tmp_path)
    (store.staging_folder("infer", "k", resumes=False) / "predictions.npz").write_text("half")
    assert store.find("infer", "k", Predictions) is None


def test_a_staging_folder_starts_empty(tmp_path) -> None:
    store = Store(tmp_path)
    (store.staging_folder("infer", "k", resumes=False) / "left").write_text("over")
    assert list(store.staging_folder("infer", "k", resumes=False).iterdir()) == []


def test_a_resumed_staging_folder_keeps_what_was_done(tmp_path) -> None:
    store = Store(tmp_path)
    (store.staging_folder("prepare", "k", resumes=True) / "left").write_text("over")
    assert (store.staging_folder("prepare", "k", resumes=True) / "left").read_text() == "over"


def test_publishing_again_replaces_the_artifact(tmp_path) -> None:
    store = Store(tmp_path)
    publish(store)
    assert publish(store, "new").path.read_text() == "new"


def test_one_maker_at_a_time_and_the_other_is_told_that_it_waits(tmp_path) -> None:
    store, events = Store(tmp_path), []
    waiting = threading.Event()

    def second() -> None:
        with Store(tmp_path).locked("infer", "k", waiting.set):
            events.append("second")

    with store.locked("infer", "k", lambda: events.append("first waited")):
        other = threading.Thread(target=second)
        other.start()
        assert waiting.wait(10)
        events.append("first")
    other.join(10)
    assert events == ["first", "second"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        Store(tmp_path / "file").staging_folder("infer", "k", resumes=False)


@pytest.mark.parametrize(("is_writable", "made"), [(True, True), (False, False)])
def test_what_has_a_flaw_is_made_again_where_the_store_can_be_written(is_writable, made, tmp_path, monkeypatch) -> None:
    def measure(*reasons: str) -> Callable[[Path], tuple[Timing, list[Command]]]:
        return lambda out: (Timing(batch=1, latencies_ms=(1.0,), warmup=0, source="x", reasons=reasons), [])

    store = Store(tmp_path)
    store.get_or_make("benchmark", "k", Timing, measure("device busy"))
    monkeypatch.setattr(os, "access", lambda path, mode: is_writable)
    assert store.get_or_make("benchmark", "k", Timing, measure())[1] == made


def file_of(store: Store, stage: str) -> Path:
    (path,) = (path for path in (store.root / stage / "k").iterdir() if path.name != "artifact.json")
    return path


def flip(path: Path, position: int) -> None:
    """Change one bit, and nothing else that shows from outside but the time of the change."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


ROT = {
    "a bit": (lambda path: flip(path, path.stat().st_size // 2), "other bytes"),
    "the first byte": (lambda path: flip(path, 0), ""),
    "the end": (cut, ""),
    "more": (lambda path: path.write_bytes(path.read_bytes() + b"x"), ""),
    "all": (Path.unlink, "is missing"),
    "empty": (lambda path: os.truncate(path, 0), ""),
    "folder": (to_folder, ""),
}


@pytest.mark.parametrize("rot", ROT)
@pytest.mark.parametrize("stage", WITH_FILES)
def test_rot_of_a_file_is_noticed_told_and_mended_by_making_it_anew(tmp_path, stage, rot) -> None:
    store = Store(tmp_path)
    made = publish_of(store, stage)
    ruin, told = ROT[rot]
    name = file_of(store, stage).name
    ruin(file_of(store, stage))
    assert store.pin(stage, "k", type(made)) is None
    damage = store.damage(stage, "k", type(made))
    assert damage and damage.startswith(name) and told in damage
    assert publish_of(store, stage) == made
    assert store.damage(stage, "k", type(made)) is None


@pytest.mark.parametrize("rot", ROT)
@pytest.mark.parametrize("stage", STAGES)
def test_rot_of_a_manifest_is_noticed_told_and_mended_by_making_it_anew(tmp_path, stage, rot) -> None:
    store = Store(tmp_path)
    made = publish_of(store, stage)
    ROT[rot][0](store.root / stage / "k" / "artifact.json")
    if rot == "more":
        assert store.find(stage, "k", type(made)) is None
    damage = store.damage(stage, "k", type(made))
    assert damage and "artifact.json" in damage
    assert publish_of(store, stage) == made


def test_every_byte_of_a_manifest_counts(tmp_path) -> None:
    store = Store(tmp_path)
    made = publish_of(store, "score")
    path = tmp_path / "score" / "k" / "artifact.json"
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        found = store.find("score", "k", Scores)
        assert found is None or found.artifact == made  # white space between its parts says nothing


@pytest.mark.parametrize("replacement", ["file", "nothing in it", "link to nothing"])
def test_something_else_in_the_place_of_an_artifact_is_replaced(tmp_path, replacement) -> None:
    store = Store(tmp_path)
    folder = publish(store).path.parent
    shutil.rmtree(folder)
    if replacement == "file":
        folder.write_text("")
    elif replacement == "nothing in it":
        folder.mkdir()
    else:
        folder.symlink_to(tmp_path / "gone")
    assert store.find("infer", "k", Predictions) is None
    assert store.damage("infer", "k", Predictions)
    assert publish(store).path.read_text() == "abc"


def test_an_artifact_of_another_kind_is_damaged(tmp_path) -> None:
    store = Store(tmp_path)
    publish(store)
    assert "holds no Scores" in (store.damage("infer", "k", Scores) or "")


def test_an_artifact_of_another_version_is_made_anew(tmp_path, monkeypatch) -> None:
    store = Store(tmp_path)
    publish(store)
    monkeypatch.setattr(manifests, "SCHEMA", 99)
    assert store.damage("infer", "k", Predictions) == "it is another version's"


def test_an_artifact_of_another_version_is_listed_and_not_called_damaged(tmp_path, monkeypatch) -> None:
    publish(Store(tmp_path))
    monkeypatch.setattr(manifests, "SCHEMA", 99)
    (listed,) = inventory.take(tmp_path, ("infer",)).artifacts
    assert (listed.detail, listed.damage) == ("another version's", None)
    assert inventory.damage(tmp_path, listed) is None


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.ENOMEM])
def test_an_artifact_that_the_machine_does_not_let_be_read_is_not_taken_for_damaged(
    tmp_path, monkeypatch, number
) -> None:
    store = Store(tmp_path)
    publish(store)

    def refuse(path: Path, *_: object) -> bytes:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(manifests, "read_regular", refuse)
    with pytest.raises(StoreError, match=os.strerror(number)):
        store.find("infer", "k", Predictions)


def test_notes_and_broken_writes_are_no_part_of_an_artifact(tmp_path) -> None:
    store = Store(tmp_path)
    out = store.staging_folder("infer", "k", resumes=False)
    for name in ("chunks.note", ".artifact.json.0123.partial"):
        (out / name).write_text("")
    path = store.publish("infer", "k", made_in(out, "infer"), 0.5).artifact.path
    assert {left.name for left in path.parent.iterdir()} == {"p.npz", "artifact.json"}


def test_an_artifact_made_again_with_the_same_bytes_stays_where_it_is(tmp_path) -> None:
    store = Store(tmp_path)
    path = publish(store).path
    with path.open() as reader:
        publish(store)
        assert os.path.samestat(os.fstat(reader.fileno()), path.stat())
    assert list((tmp_path / "partial").iterdir()) == []


def test_bytes_that_went_bad_unnoticed_are_replaced_when_the_artifact_is_made_again(tmp_path, monkeypatch) -> None:
    store = Store(tmp_path)
    path = publish(store).path
    flip(path, 0)
    monkeypatch.setattr(manifests, "stat_of", lambda path: store_stats[path.name])
    store_stats = {"predictions.npz": tuple(manifests.read(path.parent).files["predictions.npz"].stat)}
    assert store.find("infer", "k", Predictions) is not None  # nothing shows from outside
    store.staging_folder("infer", "k", resumes=False)
    assert publish(store).path.read_text() == "abc"


def test_what_was_finished_but_not_in_its_place_is_put_there(tmp_path) -> None:
    store = Store(tmp_path)
    folder = publish(store).path.parent
    folder.rename(tmp_path / "partial" / "infer-k")
    (tmp_path / "partial" / "infer-k" / "chunks.note").write_text("")
    found = store.recover("infer", "k", Predictions)
    assert found is not None
    assert found.artifact.path.read_text() == "abc"
    assert {path.name for path in folder.iterdir()} == {"predictions.npz", "artifact.json"}


@pytest.mark.parametrize("left", [["predictions.npz"], ["artifact.json"], []])
def test_what_was_not_finished_is_not_put_in_its_place(tmp_path, left) -> None:
    store = Store(tmp_path)
    folder = publish(store).path.parent
    for path in folder.iterdir():
        if path.name not in left:
            path.unlink()
    folder.rename(tmp_path / "partial" / "infer-k")
    assert store.recover("infer", "k", Predictions) is None
    assert store.find("infer", "k", Predictions) is None


def test_what_a_tool_writes_that_outlived_its_run_is_no_part_of_the_next_ones_artifact(tmp_path) -> None:
    dead = Store(tmp_path).staging_folder("infer", "k", resumes=False)
    with (dead / "predictions.npz").open("w") as tool:
        store = Store(tmp_path)
        out = store.staging_folder("infer", "k", resumes=False)
        (out / "predictions.npz").write_text("abc")
        tool.write("late")
        tool.flush()
        with pytest.raises(FileNotFoundError):
            (dead / "more").write_text("late")
        made = Predictions(out / "predictions.npz", "digest", ("a", "b"), 3)
        assert store.publish("infer", "k", made, 1.5).artifact.path.read_text() == "abc"


def test_what_a_maker_left_that_died_while_it_tidied_goes_when_the_artifact_is_pinned(tmp_path) -> None:
    store = Store(tmp_path)
    publish(store)
    for name in ("infer-k", "infer-k.old"):
        (tmp_path / "partial" / name).mkdir()
    assert store.pin("infer", "k", Predictions) is not None
    assert list((tmp_path / "partial").iterdir()) == []


def test_pinning_what_another_one_makes_anew_leaves_its_folder_alone(tmp_path) -> None:
    store = Store(tmp_path)
    publish(store)
    with store.locked("infer", "k", lambda: None):
        out = store.staging_folder("infer", "k", resumes=False)
        assert Store(tmp_path).pin("infer", "k", Predictions) is not None
        assert out.is_dir()


def test_pinning_an_artifact_is_remembered_as_its_last_use(tmp_path) -> None:
    store = Store(tmp_path)
    manifest = publish(store).path.with_name("artifact.json")
    os.utime(manifest, (0, 0))
    store.find("infer", "k", Predictions)
    assert manifest.stat().st_mtime == 0
    store.pin("infer", "k", Predictions)
    assert manifest.stat().st_mtime > 0


def test_a_store_that_is_only_read_is_reused(tmp_path, monkeypatch, set_disk_call) -> None:
    publish(Store(tmp_path))

    def refuse(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for function in ("utime", "mkdir"):
        set_disk_call(monkeypatch, function, refuse)
    monkeypatch.setattr("runner.core.locks.hold_shared", refuse)
    store = Store(tmp_path)
    assert store.pin("infer", "k", Predictions) is not None
    with pytest.raises(StoreError, match=r"Read-only file system\n.*mount it for writing"):
        store.staging_folder("infer", "other", resumes=False)
