import functools
import hashlib
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from runner.core import CheckpointError, DownloadError
from runner.graph import external_data
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
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A server on this machine of what is in `tmp_path`/served."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "served").mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def serve(server: ThreadingHTTPServer, tmp_path: Path) -> Callable[[bytes], str]:
    """Serve a file of this content; return its URL."""

    def url_of(content: bytes) -> str:
        (tmp_path / "served" / "source").write_bytes(content)
        return f"http://127.0.0.1:{server.server_address[1]}/source"

    return url_of


def test_a_url_is_fetched_under_the_published_name(serve: Callable[[bytes], str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    found = weights(of_url(serve(CONTENT), SHA256[:8], len(CONTENT)), out)
    assert (found.path, found.sha256, found.origin) == (out / "published.pth", SHA256, "url")
    assert [path.name for path in out.iterdir()] == ["published.pth"]


def test_a_url_with_another_content_is_refused(serve: Callable[[bytes], str], tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="expected"):
        weights(of_url(serve(b"other bytes")), tmp_path)


def onnx_with_data_in(location: str) -> bytes:
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    return onnx.ModelProto(graph=onnx.GraphProto(initializer=[weights])).SerializeToString()


def onnx_of_url(url: str, content: bytes) -> UrlSpec:
    return UrlSpec(url, "published.onnx", hashlib.sha256(content).hexdigest(), len(content), is_onnx=True)


@pytest.fixture
def trusted(server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server speak https, with a certificate that is trusted here."""
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *made], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate"))


def test_the_data_of_an_onnx_model_come_from_beside_its_url(
    serve: Callable[[bytes], str], trusted: None, tmp_path: Path
) -> None:
    out, content = tmp_path / "out", onnx_with_data_in("sub/a b.data")
    out.mkdir()
    (tmp_path / "served" / "sub").mkdir()
    (tmp_path / "served" / "sub" / "a b.data").write_bytes(bytes(4))
    url = serve(content).replace("http:", "https:")
    found = weights(onnx_of_url(f"{url}?download=true", content), out)
    assert (out / "sub" / "a b.data").read_bytes() == bytes(4)
    assert found.sha256 == external_data.digest(out / "published.onnx") != hashlib.sha256(content).hexdigest()


def test_the_data_of_an_onnx_model_are_not_taken_over_plain_http(serve: Callable[[bytes], str], tmp_path: Path) -> None:
    content = onnx_with_data_in("w.data")
    with pytest.raises(DownloadError, match=r"w\.data is plain http and no SHA-256 is declared"):
        weights(onnx_of_url(serve(content), content), tmp_path)


@pytest.mark.parametrize("location", ["../w.data", "/w.data", "", "published.onnx"])
def test_data_that_are_not_beside_the_url_are_refused(
    location: str, serve: Callable[[bytes], str], tmp_path: Path
) -> None:
    content = onnx_with_data_in(location)
    with pytest.raises(DownloadError, match="which is no file beside it"):
        weights(onnx_of_url(serve(content), content), tmp_path)
