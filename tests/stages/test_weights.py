import hashlib
from pathlib import Path

import pytest
from safetensors.torch import load_file

from runner.artifacts import TensorSpec
from runner.errors import CheckpointError, DownloadError
from runner.networks import CheckpointLayout, NetworkSpec, build
from runner.stages.weights import WeightsSpec, weights
from runner.targets import Target

CONTENT = b"any bytes"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NETWORK = NetworkSpec(
    Target("zoo.dqn.NatureDQN"),
    CheckpointLayout((), {}, None, None),
    (TensorSpec("input", "float32", (4, 84, 84)),),
)


def of_file(path: Path, sha256: str | None) -> WeightsSpec:
    return WeightsSpec("file", path, None, path.name, sha256, None, None, 0)


def of_url(url: str, sha256: str | None = SHA256, size_bytes: int | None = None) -> WeightsSpec:
    return WeightsSpec("url", None, url, "published.pth", sha256, size_bytes, None, 0)


def of_seed(seed: int) -> WeightsSpec:
    return WeightsSpec("random", None, None, "published.pth", None, None, NETWORK, seed)


def test_a_file_is_used_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(CONTENT)
    found = weights(of_file(path, SHA256), tmp_path)
    assert (found.path, found.sha256, found.origin) == (path, SHA256, "file")


def test_a_file_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(CheckpointError, match="changed while this ran"):
        weights(of_file(path, SHA256), tmp_path)


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        weights(of_file(tmp_path / "mine.pth", SHA256), tmp_path)


def test_a_url_is_fetched_under_the_published_name(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(CONTENT)
    out = tmp_path / "out"
    out.mkdir()
    found = weights(of_url((tmp_path / "source").as_uri(), SHA256[:8], len(CONTENT)), out)
    assert (found.path, found.sha256, found.origin) == (out / "published.pth", SHA256, "url")
    assert [path.name for path in out.iterdir()] == ["published.pth"]


def test_a_url_with_another_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"other bytes")
    with pytest.raises(DownloadError, match="expected"):
        weights(of_url((tmp_path / "source").as_uri()), tmp_path)


def test_random_weights_are_a_checkpoint_of_the_network(tmp_path: Path) -> None:
    found = weights(of_seed(0), tmp_path)
    assert (found.path.name, found.origin) == ("weights.safetensors", "random")
    assert load_file(found.path).keys() == build(NETWORK, found).state_dict().keys()


def test_equal_seeds_give_equal_files(tmp_path: Path) -> None:
    hashes = []
    for seed in (1, 1, 2):
        hashes.append(weights(of_seed(seed), tmp_path).sha256)
    assert hashes[0] == hashes[1] != hashes[2]
