import functools
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runner.core import CheckpointError, DownloadError
from runner.stages.weights import FileSpec, UrlSpec, weights

CONTENT = b"any bytes"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def of_url(url: str, sha256: str | None = SHA256, size_bytes: int | None = None) -> UrlSpec:
    return UrlSpec(url, "published.pth", sha256, size_bytes)


def test_a_file_is_used_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(CONTENT)
    found = weights(FileSpec(path, SHA256), tmp_path)
    assert (found.path, found.sha256, found.origin) == (path, SHA256, "file")


def test_a_file_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(CheckpointError, match="changed while this ran"):
        weights(FileSpec(path, SHA256), tmp_path)


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        weights(FileSpec(tmp_path / "mine.pth", SHA256), tmp_path)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], str]]:
    """Serve a file of this content on this machine; return its URL."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "served").mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def url_of(content: bytes) -> str:
        (tmp_path / "served" / "source").write_bytes(content)
        return f"http://127.0.0.1:{server.server_address[1]}/source"

    yield url_of
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_url_is_fetched_under_the_published_name(serve: Callable[[bytes], str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    found = weights(of_url(serve(CONTENT), SHA256[:8], len(CONTENT)), out)
    assert (found.path, found.sha256, found.origin) == (out / "published.pth", SHA256, "url")
    assert [path.name for path in out.iterdir()] == ["published.pth"]


def test_a_url_with_another_content_is_refused(serve: Callable[[bytes], str], tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="expected"):
        weights(of_url(serve(b"other bytes")), tmp_path)
