import threading

import pytest

from runner.artifacts import Predictions
from runner.errors import StoreError
from runner.store import Store


def publish(store: Store, text: str = "abc", key: str = "k") -> Predictions:
    out = store.workplace("infer", key, resume=False)
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
    assert store.spoilt("infer", "k")


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
    (store.workplace("infer", "k", resume=False) / "predictions.npz").write_text("half")
    assert store.find("infer", "k", Predictions) is None


def test_a_workplace_starts_empty(tmp_path) -> None:
    store = Store(tmp_path)
    (store.workplace("infer", "k", resume=False) / "left").write_text("over")
    assert list(store.workplace("infer", "k", resume=False).iterdir()) == []


def test_a_resumed_workplace_keeps_what_was_done(tmp_path) -> None:
    store = Store(tmp_path)
    (store.workplace("prepare", "k", resume=True) / "left").write_text("over")
    assert (store.workplace("prepare", "k", resume=True) / "left").read_text() == "over"


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
        Store(tmp_path / "file").workplace("infer", "k", resume=False)
