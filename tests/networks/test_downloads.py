"""Downloads against a real server on this machine that misbehaves as servers and networks do."""

import hashlib
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runner.core.errors import DownloadError
from runner.core.progress import shown_by
from runner.networks import _responses, downloads
from runner.networks.downloads import download

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PIECE = 1 << 14
"""Bytes that are written at once; a piece that a break cuts off is lost."""


@dataclass
class Site:
    """What the server does, and what it was asked."""

    url: str = ""
    ranges_supported: bool = True
    length_told: bool = True
    endless: bool = False
    break_after: list[int] = field(default_factory=list)
    """For each of the first answers, after how many bytes it breaks off."""
    statuses: list[int] = field(default_factory=list)
    """Statuses of the first answers."""
    redirects: dict[str, str] = field(default_factory=dict)
    shift_bytes: int = 0
    """How far the ranges that it sends start from those that it was asked for."""
    version: str | None = None
    """The ETag of what it serves."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further headers of its answers."""
    drips: bool = False
    """Whether it sends a byte every tenth of a second."""
    ranges_asked: list[str | None] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        site = self.site
        if self.path in site.redirects:
            self.send_response(302)
            self.send_header("Location", site.redirects[self.path])
            if not site.endless:
                self.send_header("Content-Length", "0")
            self.end_headers()
            with suppress(ConnectionError):
                while site.endless:
                    self.wfile.write(CONTENT)
            return
        asked = self.headers.get("Range")
        site.ranges_asked.append(asked)
        site.authorizations.append(self.headers.get("Authorization"))
        status = site.statuses.pop(0) if site.statuses else 200
        if status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        same_version = self.headers.get("If-Range", site.version) == site.version
        ranged = asked and site.ranges_supported and same_version
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and ranged else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if start:
            start += site.shift_bytes
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.send_response(200)
        body = CONTENT[start:]
        if site.version is not None:
            self.send_header("ETag", site.version)
        if site.length_told:
            self.send_header("Content-Length", str(len(body)))
        for name, value in site.headers.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):
            for byte in body if site.drips else b"":
                self.wfile.write(bytes([byte]))
                time.sleep(0.1)
            while site.endless:
                self.wfile.write(body)
        self.wfile.write(body[: site.break_after.pop(0)] if site.break_after else body)

    def end_headers(self) -> None:
        self.send_header("Connection", "close")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


class QuietServer(ThreadingHTTPServer):
    """Prints no traceback of a client that leaves: that would be parsed in this thread while a test parses, too.

    Python 3.11's parser takes one thread at a time.
    """

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    site = Site()
    server = QuietServer(("127.0.0.1", 0), type("SiteHandler", (Handler,), {"site": site}))
    site.url = f"http://127.0.0.1:{server.server_address[1]}/weights.pth"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Places:
    target: Path
    partial: Path


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "weights.pth", tmp_path / "weights.pth.part")


def get(url: str, places: Places, sha256: str | None = SHA256, size_bytes: int | None = None) -> None:
    download(url, places.target, places.partial, sha256, size_bytes)


def test_a_whole_file_arrives(site: Site, places: Places) -> None:
    get(site.url, places, size_bytes=len(CONTENT))
    assert places.target.read_bytes() == CONTENT
    assert not places.partial.exists()


@pytest.mark.parametrize("digits", [8, 9, 64])
def test_leading_digits_of_the_hash_suffice(site: Site, places: Places, digits: int) -> None:
    get(site.url, places, sha256=SHA256[:digits].upper())
    assert places.target.read_bytes() == CONTENT


def test_no_more_than_the_declared_length_is_taken_from_a_server_that_goes_on(site: Site, places: Places) -> None:
    site.length_told, site.endless = False, True
    with pytest.raises(DownloadError, match="expected 7"):
        get(site.url, places, size_bytes=7)
    assert not places.target.exists()


@pytest.mark.parametrize("sha256", ["1234567", "not hexadecimal", SHA256 + "0"])
def test_a_hash_that_is_none_is_refused(site: Site, places: Places, sha256: str) -> None:
    with pytest.raises(DownloadError, match="is none"):
        get(site.url, places, sha256=sha256)
    assert site.ranges_asked == []


def test_a_wrong_hash_is_told_and_the_file_removed(site: Site, places: Places) -> None:
    with pytest.raises(DownloadError, match=f"has the SHA-256 {SHA256}, expected {'0' * 64}"):
        get(site.url, places, sha256="0" * 64)
    assert not places.target.exists()
    assert not places.partial.exists()


def test_a_wrong_length_is_told_before_anything_is_fetched(site: Site, places: Places) -> None:
    with pytest.raises(DownloadError, match=f"has {len(CONTENT)} bytes, expected 7"):
        get(site.url, places, size_bytes=7)
    assert not places.partial.exists()


@pytest.mark.parametrize(("size_bytes", "told"), [(7, "at least [0-9]+"), (len(CONTENT) + 1, str(len(CONTENT)))])
def test_a_wrong_length_is_told_where_the_server_tells_none(
    site: Site, places: Places, size_bytes: int, told: str
) -> None:
    site.length_told = False
    with pytest.raises(DownloadError, match=f"has {told} bytes, expected {size_bytes}"):
        get(site.url, places, size_bytes=size_bytes)
    assert not places.target.exists()


def test_a_file_of_unknown_length_arrives(site: Site, places: Places) -> None:
    site.length_told = False
    get(site.url, places)
    assert places.target.read_bytes() == CONTENT


def test_a_broken_connection_is_resumed(site: Site, places: Places) -> None:
    site.break_after = [20_000, 20_000]
    get(site.url, places)
    assert places.target.read_bytes() == CONTENT
    assert site.ranges_asked == [None, f"bytes={PIECE}-", f"bytes={2 * PIECE}-"]


def test_a_server_without_ranges_starts_over(site: Site, places: Places) -> None:
    site.ranges_supported = False
    site.break_after = [20_000]
    get(site.url, places)
    assert places.target.read_bytes() == CONTENT


def test_a_server_that_sends_another_range_starts_over(site: Site, places: Places) -> None:
    site.shift_bytes = 10
    places.partial.write_bytes(CONTENT[:1000])
    get(site.url, places)
    assert places.target.read_bytes() == CONTENT
    assert site.ranges_asked == ["bytes=1000-", None]


def test_what_an_earlier_run_left_is_resumed(site: Site, places: Places) -> None:
    places.partial.write_bytes(CONTENT[:4321])
    get(site.url, places)
    assert places.target.read_bytes() == CONTENT
    assert site.ranges_asked == ["bytes=4321-"]


def test_what_an_earlier_run_left_complete_is_kept(site: Site, places: Places) -> None:
    places.partial.write_bytes(CONTENT)
    get(site.url, places)
    assert places.target.read_bytes() == CONTENT
    assert site.ranges_asked == [f"bytes={len(CONTENT)}-"]


def test_a_leftover_longer_than_the_file_starts_over(site: Site, places: Places) -> None:
    places.partial.write_bytes(CONTENT + b"more")
    get(site.url, places)
    assert places.target.read_bytes() == CONTENT


def test_connections_that_keep_breaking_leave_what_came_for_the_next_run(site: Site, places: Places) -> None:
    site.break_after = [20_000] * downloads.ATTEMPTS
    with pytest.raises(DownloadError) as caught:
        get(site.url, places)
    kept = PIECE * downloads.ATTEMPTS
    assert f"{kept} bytes that came are kept, and running again resumes" in caught.value.fix
    assert places.partial.read_bytes() == CONTENT[:kept]
    get(site.url, places)
    assert places.target.read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(site: Site, places: Places) -> None:
    site.statuses = [503, 429]
    get(site.url, places)
    assert places.target.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_told_at_once(site: Site, places: Places, status: int) -> None:
    site.statuses = [status]
    with pytest.raises(DownloadError, match=f"status {status}") as caught:
        get(site.url, places)
    assert site.url in caught.value.message and "by hand" in caught.value.fix
    assert len(site.ranges_asked) == 1


def test_nobody_listening_is_told(places: Places, site: Site) -> None:
    with pytest.raises(DownloadError, match=f"failed {downloads.ATTEMPTS} times"):
        get("http://127.0.0.1:9/weights.pth", places)


def test_redirects_are_followed(site: Site, places: Places) -> None:
    site.redirects = {"/old": "/weights.pth"}
    get(site.url.replace("weights.pth", "old"), places)
    assert places.target.read_bytes() == CONTENT


def test_redirects_in_a_circle_end(site: Site, places: Places) -> None:
    site.redirects = {"/weights.pth": "/weights.pth"}
    with pytest.raises(DownloadError, match="redirects more than"):
        get(site.url, places)


def test_the_body_of_a_redirect_is_not_read(site: Site, places: Places) -> None:
    site.redirects, site.endless = {"/weights.pth": "file:///etc/hostname"}, True
    with pytest.raises(DownloadError, match="to file:"):
        get(site.url, places)


def test_a_redirect_to_a_file_is_refused(site: Site, places: Places) -> None:
    site.redirects = {"/weights.pth": "file:///etc/hostname"}
    with pytest.raises(DownloadError, match=r"redirects from .* to file:"):
        get(site.url, places)


def test_a_redirect_out_of_https_is_refused(monkeypatch: pytest.MonkeyPatch, places: Places) -> None:
    import requests

    def answer(self: requests.Session, url: str, **_: object) -> requests.Response:
        response = requests.Response()
        response.status_code = 302
        response.headers["Location"] = url.replace("https:", "http:")
        response.raw = None
        response._content_consumed = True  # type: ignore[attr-defined]
        return response

    monkeypatch.setattr(requests.Session, "get", answer)
    monkeypatch.setattr(requests.Response, "close", lambda self: None)
    with pytest.raises(DownloadError, match="which is not https"):
        get("https://example.invalid/weights.pth", places)


def test_plain_http_without_a_hash_is_refused(site: Site, places: Places) -> None:
    with pytest.raises(DownloadError, match="plain http") as caught:
        get(site.url, places, sha256=None)
    assert "sha256" in caught.value.fix
    assert site.ranges_asked == []


@pytest.mark.parametrize("url", ["ftp://example.invalid/a", "weights.pth", "s3://bucket/a", "http://[::1/a"])
def test_other_urls_are_refused(url: str, places: Places) -> None:
    with pytest.raises(DownloadError):
        get(url, places)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "file://localhost/etc/hostname", "FILE:/proc/self/environ"])
def test_a_file_of_this_machine_is_never_copied(url: str, places: Places) -> None:
    with pytest.raises(DownloadError, match="the scheme 'file'") as caught:
        get(url, places, sha256=None)
    assert "weights=PATH" in caught.value.fix
    assert not places.partial.exists()


@pytest.mark.parametrize(
    "url", ["https://", "https://:80/a", f"https://{'x' * 64}.example/a", "https://host:99999999/a", "https://[::1/a"]
)
def test_a_url_without_a_possible_host_is_refused(url: str, places: Places) -> None:
    with pytest.raises(DownloadError, match=r"names no host|is no URL"):
        get(url, places)


def test_a_redirect_to_what_is_no_url_is_told(site: Site, places: Places) -> None:
    site.redirects = {"/weights.pth": "http://[::1"}
    with pytest.raises(DownloadError, match="redirects to what is no URL"):
        get(site.url, places)


def test_a_redirect_from_outside_to_a_host_inside_is_refused(
    site: Site, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.redirects = {"/weights.pth": "http://127.0.0.1:9/secret"}
    monkeypatch.setattr(_responses, "_is_inside", lambda url: ":9/" in url)
    with pytest.raises(DownloadError, match="a host inside this network"):
        get(site.url, places)


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "x"])
def test_a_length_that_is_none_is_no_fault(length: str, site: Site, places: Places) -> None:
    site.length_told, site.headers = False, {"Content-Length": length}
    with suppress(DownloadError):
        get(site.url, places)


def test_a_server_that_sends_a_byte_now_and_then_is_left(
    site: Site, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_responses, "SLOWEST_CHUNK_SECONDS", 0.5)
    site.drips = True
    with pytest.raises(DownloadError, match="comes too slowly"):
        get(site.url, places)


def test_a_file_larger_than_any_is_refused_before_it_comes(
    site: Site, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MOST_BYTES", 1000)
    with pytest.raises(DownloadError, match="1000 would be taken at most"):
        get(site.url, places)


def test_an_endless_body_of_unknown_length_is_bounded(
    site: Site, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MOST_BYTES", 200_000)
    site.length_told, site.endless = False, True
    with pytest.raises(DownloadError, match="at least"):
        get(site.url, places)
    assert not places.partial.exists()


def test_a_mirror_is_asked_by_host_and_path(site: Site, places: Places) -> None:
    site.redirects = {"/zoo/example.invalid/a/weights.pth": "/weights.pth"}
    mirror = site.url.replace("weights.pth", "zoo/")
    download("https://example.invalid/a/weights.pth", places.target, places.partial, SHA256, None, mirror)
    assert places.target.read_bytes() == CONTENT


def test_the_mirror_of_hugging_face_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    url = "https://huggingface.co/a/b/resolve/main/w.bin?download=true"
    assert downloads.mirrored(url, None) == "https://mirror.example/a/b/resolve/main/w.bin?download=true"


def test_the_password_of_a_mirror_is_not_shown(site: Site, places: Places) -> None:
    mirror = site.url.replace("http://", "http://me:secret@").replace("weights.pth", "none")
    site.statuses = [404]
    with pytest.raises(DownloadError) as caught:
        download("https://example.invalid/a", places.target, places.partial, SHA256, None, mirror)
    assert "secret" not in str(caught.value)


def test_no_password_of_the_users_is_sent(
    site: Site, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get(site.url, places)
    assert site.authorizations == [None]


def test_a_certificate_that_nobody_signed_is_told(places: Places, tmp_path: Path, monkeypatch) -> None:
    private_key = tmp_path / "server.pem"
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(private_key)]
    command = ["openssl", "req", "-x509", "-days", "1", "-subj", "/CN=localhost", "-out", tmp_path / "cert.pem", *key]
    made = subprocess.run(command, capture_output=True)
    if made.returncode:
        pytest.skip("openssl makes no certificate here")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", private_key)
    server = QuietServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(DownloadError, match="certificate is not trusted") as caught:
        get(f"https://127.0.0.1:{server.server_address[1]}/weights.pth", places)
    assert "REQUESTS_CA_BUNDLE" in caught.value.fix
    server.shutdown()
    server.server_close()


def test_certificates_that_are_not_there_are_told(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/certificates.pem")
    with pytest.raises(DownloadError, match=r"/nowhere/certificates\.pem"):
        get("https://127.0.0.1:9/weights.pth", places)


def test_progress_counts_the_resumed_bytes(site: Site, places: Places) -> None:
    shown: list[tuple[str, float | None, str]] = []
    done: list[float] = []

    def start(description: str, total: float | None, unit: str) -> tuple:
        shown.append((description, total, unit))
        return done.append, lambda: None

    places.partial.write_bytes(CONTENT[:100])
    with shown_by(start):
        get(site.url, places)
    assert shown == [("download weights.pth", len(CONTENT), "B")]
    assert done[0] == 100 and sum(done) == len(CONTENT)


def test_a_file_that_was_replaced_since_the_break_is_fetched_from_its_start(site: Site, tmp_path: Path) -> None:
    partial = tmp_path / "part"
    partial.write_bytes(b"of the old version")
    partial.with_name("part.version").write_text('"old"')
    site.version = '"new"'
    download(site.url, tmp_path / "file", partial, SHA256, None)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert site.ranges_asked == ["bytes=18-"]


def test_a_version_that_the_server_names_is_enough_to_resume(site: Site, tmp_path: Path) -> None:
    site.version = '"one"'
    site.break_after = [3 * PIECE]
    downloads._fetch(site.url, tmp_path / "part", hashed=False, size_bytes=None)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert site.ranges_asked == [None, f"bytes={3 * PIECE}-"]


def test_without_hash_and_version_a_broken_download_starts_over(site: Site, tmp_path: Path) -> None:
    site.break_after = [3 * PIECE]
    downloads._fetch(site.url, tmp_path / "part", hashed=False, size_bytes=None)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert site.ranges_asked == [None, None]


def test_nothing_but_the_file_is_left(site: Site, tmp_path: Path) -> None:
    site.version = '"one"'
    download(site.url, tmp_path / "file", tmp_path / "part", SHA256, None)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
