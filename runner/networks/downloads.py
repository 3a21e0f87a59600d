"""Downloads that resume, and that succeed only if the declared length and hash match.

The URL may be a stranger's, and so may the server: only http and https are spoken, redirects lead to no host inside
this network, no credentials of the user's are sent, and size and time are bounded.

The proxy and the certificates are those of the usual variables, which requests reads: HTTPS_PROXY, HTTP_PROXY,
NO_PROXY, REQUESTS_CA_BUNDLE.
"""

from __future__ import annotations

import ipaddress
import os
import queue
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from runner.core import DownloadError, sha256_of, track
from runner.core.lazy import requests

ATTEMPTS = 4
PAUSE_SECONDS = 1.0
"""Pause before the second attempt; doubled before each later one."""
TIMEOUT_SECONDS = (10.0, 30.0)
"""Timeouts for connecting and for reading."""
SLOWEST_CHUNK_SECONDS = 60.0
"""How long a chunk, or the response before the first one, may take: a server that sends a byte now and then is left."""
LONGEST_SECONDS = 12 * 3600.0
"""How long an attempt may take."""
MOST_BYTES = 64 << 30
"""Length of the largest file whose length is not declared."""
HUGGING_FACE = "huggingface.co"
"""Has a mirror of its own in HF_ENDPOINT, as its own library has it."""
_RECEIVED_BYTES = 1 << 14
"""Small, since an incomplete chunk is lost when the connection breaks."""
_CHUNKS_AHEAD = 64
_MOST_REDIRECTS = 10
_TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_SHA256 = re.compile(r"[0-9a-f]{8,64}")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>[0-9]{1,18})-[0-9]{1,18}|\*)/(?P<total>[0-9]{1,18}|\*)")
_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]*@")


class _BrokenOff(Exception):
    """A transient failure of an attempt."""


def download(
    url: str, target: Path, partial: Path, sha256: str | None, size_bytes: int | None, mirror: str | None = None
) -> None:
    """Download an http or https URL to `target`.

    The data is collected in `partial`, on the same file system. An earlier attempt is resumed if a mixture of two
    versions would be detected: with a declared hash, or if the server sends a version (ETag, Last-Modified). Otherwise
    the download starts from the beginning.

    Args:
        sha256: All 64 hexadecimal digits, or at least the leading 8, as in torch.hub's file names. Required for plain
            http; better all 64 if known, since a file with the same few digits can be forged.
        size_bytes: The declared length.
        mirror: The URL of a server that has https://HOST/PATH as MIRROR/HOST/PATH, and is asked instead.

    Raises:
        DownloadError: the URL cannot be fetched or trusted, or the file has another length or hash.
    """
    declared = None if sha256 is None else sha256.lower()
    if declared is not None and not _SHA256.fullmatch(declared):
        raise DownloadError(
            f"the declared SHA-256 {sha256!r} is none", "declare all 64 hexadecimal digits, or the leading 8 or more"
        )
    try:
        place = mirrored(url, mirror)
        if _split(place).scheme == "http" and declared is None:
            raise DownloadError(
                f"{place} is plain http and no SHA-256 is declared, so anyone on the way could replace the file",
                "use https, or declare the file's sha256",
            )
        _fetch(place, partial, hashed=declared is not None, size_bytes=size_bytes)
        _check(place, partial, declared, size_bytes)
    except DownloadError as error:
        raise DownloadError(_CREDENTIALS.sub("", error.message), _CREDENTIALS.sub("", error.fix)) from error
    partial.replace(target)
    _version_file(partial).unlink(missing_ok=True)


def mirrored(url: str, mirror: str | None) -> str:
    """Return where a URL is fetched from: the mirror if one is given, HF_ENDPOINT for Hugging Face, else the URL.

    Raises:
        DownloadError: one of them is no http or https URL.
    """
    split = _split(url)
    if mirror is not None:
        _split(mirror)
        return f"{mirror.rstrip('/')}/{url.partition('://')[2]}"
    endpoint = os.environ.get("HF_ENDPOINT")
    if endpoint and split.hostname == HUGGING_FACE:
        _split(endpoint)
        return endpoint.rstrip("/") + split._replace(scheme="", netloc="").geturl()
    return url


def _split(url: str) -> SplitResult:
    """Return the parts of an http or https URL with a host.

    Raises:
        DownloadError: it is none.
    """
    try:
        split = urlsplit(url)
        host, _ = split.hostname or "", split.port  # an impossible port raises
    except ValueError as error:
        raise DownloadError(f"{url} is no URL: {error}", "correct the URL") from error
    if split.scheme not in ("http", "https"):
        raise DownloadError(
            f"{url} has the scheme {split.scheme!r}", "use http or https; weights=PATH takes a file of this machine"
        )
    if not host or len(host) > 253 or any(len(label) > 63 for label in host.split(".")):  # RFC 1035, section 2.3.4
        raise DownloadError(f"{url[:300]} names no host", "correct the URL")
    return split


def _check(url: str, partial: Path, sha256: str | None, size_bytes: int | None) -> None:
    length = partial.stat().st_size
    if size_bytes is not None and length != size_bytes:
        partial.unlink()
        raise _wrong_length(url, length, size_bytes)
    if sha256 is None:
        return
    digest = sha256_of(partial)
    if not digest.startswith(sha256):
        partial.unlink()
        raise DownloadError(
            f"{url} has the SHA-256 {digest}, expected {sha256}",
            "run again in case it was damaged on the way; if it comes again, the file at the URL has been replaced",
        )


def _wrong_length(url: str, length: int | str, size_bytes: int) -> DownloadError:
    return DownloadError(
        f"{url} has {length} bytes, expected {size_bytes}",
        "correct the URL or the declared size_bytes; the file at the URL may have been replaced",
    )


def _version_file(partial: Path) -> Path:
    """Return the file that stores the server's version (ETag or Last-Modified) of `partial`."""
    return partial.with_name(f"{partial.name}.version")


def _version(partial: Path) -> str | None:
    try:
        return _version_file(partial).read_text() or None
    except OSError:
        return None


def _fetch(url: str, partial: Path, *, hashed: bool, size_bytes: int | None) -> None:
    passing = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    for attempt in range(1, ATTEMPTS + 1):
        if not hashed and _version(partial) is None:
            partial.unlink(missing_ok=True)
        try:
            _attempt(url, partial, size_bytes)
            return
        except requests.exceptions.SSLError as error:
            raise DownloadError(
                f"{url}: the server's certificate is not trusted: {error}",
                "correct the date of this machine, name the certificates of your network in REQUESTS_CA_BUNDLE, or "
                "download the file by hand to checkpoints/",
            ) from error
        except (_BrokenOff, *passing) as error:
            if attempt == ATTEMPTS:
                raise _given_up(url, partial, hashed or _version(partial) is not None, error) from error
        except requests.exceptions.InvalidProxyURL as error:
            raise DownloadError(f"the proxy for {url} is none: {error}", "correct HTTPS_PROXY or HTTP_PROXY") from error
        time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))


def _given_up(url: str, partial: Path, resumable: bool, error: Exception) -> DownloadError:
    got = partial.stat().st_size if partial.exists() else 0
    kept = f"; the {got} bytes that came are kept, and running again resumes after them" if resumable and got else ""
    return DownloadError(
        f"{url} failed {ATTEMPTS} times, the last time with: {error}",
        f"check the network (a proxy in HTTPS_PROXY, a mirror=URL) and run again{kept}",
    )


def _attempt(url: str, partial: Path, size_bytes: int | None) -> None:
    """Download the rest of `partial`, or the whole file if the server cannot resume."""
    start = partial.stat().st_size if partial.exists() else 0
    with _streamed(url, start, _version(partial)) as (response, chunks):
        if response.status_code == 416 and start:
            if _total_bytes(response) != start:
                partial.unlink()
                raise _BrokenOff(f"the server has no byte {start}")
            return
        if response.status_code in _TRANSIENT_STATUSES:
            raise _BrokenOff(f"status {response.status_code} {response.reason}")
        if response.status_code not in (200, 206):
            raise DownloadError(
                f"{url} answered with status {response.status_code} {response.reason}",
                "open the URL in a browser: correct it, or download the file by hand to checkpoints/",
            )
        if response.status_code == 200:
            start = 0
            _keep_version(response, partial)
        elif _first_byte(response) != start:
            partial.unlink(missing_ok=True)
            raise _BrokenOff(f"asked for the bytes from {start} on, the server sent others")
        total = _total_bytes(response)
        if size_bytes is not None and total is not None and total != size_bytes:
            raise _wrong_length(url, total, size_bytes)
        _check_room(url, partial, start, total)
        _receive(chunks, url, partial, start, total, size_bytes)


def _check_room(url: str, partial: Path, start: int, total: int | None) -> None:
    if total is None:
        return
    free_bytes = shutil.disk_usage(partial.parent).free
    if total > MOST_BYTES or total - start > free_bytes:
        raise DownloadError(
            f"{url} has {total} bytes, and {min(free_bytes + start, MOST_BYTES)} would be taken at most",
            "make room, or choose another folder with cache_dir=DIR; correct the URL if the file is not that large",
        )


@contextmanager
def _streamed(url: str, start: int, version: str | None) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
    """Yield the response to a request for the bytes from `start` on, and the chunks of its body.

    A thread receives both: a server that sends a byte now and then would else hold the run for ever.
    """
    received: queue.Queue[Any] = queue.Queue(_CHUNKS_AHEAD)
    is_left = threading.Event()
    deadline = time.monotonic() + LONGEST_SECONDS

    def put(item: object) -> bool:
        while not is_left.is_set():
            try:
                received.put(item, timeout=1.0)
                return True
            except queue.Full:
                continue
        return False

    def take() -> Any:
        try:
            item = received.get(timeout=max(0.0, min(SLOWEST_CHUNK_SECONDS, deadline - time.monotonic())))
        except queue.Empty:
            raise DownloadError(
                f"{url} comes too slowly: less than {_RECEIVED_BYTES} bytes in {SLOWEST_CHUNK_SECONDS:g} s, or not all "
                f"of it in {LONGEST_SECONDS:g} s",
                "run again at another time, choose a mirror=URL, or download the file by hand to checkpoints/",
            ) from None
        if isinstance(item, BaseException):
            raise _of_the_url(url, item)
        return item

    threading.Thread(target=_request, args=(url, start, version, put), name="download", daemon=True).start()
    try:
        yield take(), iter(take, None)
    finally:
        is_left.set()


def _request(url: str, start: int, version: str | None, put: Callable[[object], bool]) -> None:
    """Put the response, the chunks of its body and None, or the error that ends them, until `put` returns False."""
    try:
        with requests.Session() as session:
            session.auth = _without_credentials
            # _get follows redirects itself; requests would read the whole body of each into memory.
            session.resolve_redirects = lambda *_, **__: iter(())  # type: ignore[method-assign]
            with _get(session, url, start, version) as response:
                put(response)
                for chunk in response.iter_content(_RECEIVED_BYTES):
                    if not put(chunk):
                        return
        put(None)
    except BaseException as error:
        put(error)


def _of_the_url(url: str, error: BaseException) -> BaseException:
    """Return the error, with the URL if it is a library's, on what a server or a variable may say."""
    if isinstance(error, (requests.RequestException, _BrokenOff, DownloadError)):
        return error
    return DownloadError(
        f"{url}: {type(error).__name__}: {error}", "correct the URL, or the variables of proxy and certificates"
    )


def _without_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send a request as it is: requests would look for a password in ~/.netrc, where a URL may be a stranger's."""
    return request


def _keep_version(response: requests.Response, partial: Path) -> None:
    tag = response.headers.get("ETag", "")
    # A weak ETag does not guarantee identical bytes.
    named = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    _version_file(partial).write_text(named)


def _get(session: requests.Session, url: str, start: int, version: str | None) -> requests.Response:
    """Request the bytes from `start` on, or the whole file if its version has changed.

    Follows redirects, except from https to another scheme or to a file.
    """
    # Identity: a compressed response would have another length than the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    if start and version:
        headers["If-Range"] = version
    place = url
    for _ in range(_MOST_REDIRECTS):
        response = session.get(place, headers=headers, stream=True, allow_redirects=False, timeout=TIMEOUT_SECONDS)
        if not response.is_redirect:
            return response
        response.close()
        try:
            following = urljoin(place, response.headers["Location"])
            urlsplit(following)
        except ValueError as error:
            raise DownloadError(f"{url} redirects to what is no URL: {error}", "correct the URL") from error
        allowed = ("https",) if urlsplit(place).scheme == "https" else ("http", "https")
        if urlsplit(following).scheme not in allowed:
            raise DownloadError(
                f"{url} redirects from {place} to {following}, which is not {' or '.join(allowed)}",
                "use a URL that stays on https, or download the file by hand to checkpoints/",
            )
        if _is_inside(following) and not _is_inside(place):
            raise DownloadError(
                f"{url} redirects from {place} to {following}, a host inside this network",
                "correct the URL, or download the file by hand to checkpoints/",
            )
        place = following
    raise DownloadError(f"{url} redirects more than {_MOST_REDIRECTS} times, last to {place}", "correct the URL")


def _is_inside(url: str) -> bool:
    """Return whether the host is this machine, or one of a private network."""
    host = _split(url).hostname
    try:
        found = {str(each[4][0]).partition("%")[0] for each in socket.getaddrinfo(host, None)}
    except OSError:  # behind a proxy, names may be known to the proxy alone
        return False
    return any(not ipaddress.ip_address(address).is_global for address in found)


def _receive(
    chunks: Iterator[bytes], url: str, partial: Path, start: int, total: int | None, size_bytes: int | None
) -> None:
    """Append the chunks to `partial`, up to the declared length; received data is kept if the connection breaks."""
    done, most_bytes = start, MOST_BYTES if size_bytes is None else size_bytes
    try:
        with partial.open("ab" if start else "wb") as file, track(f"download {partial.stem}", total, "B") as advance:
            advance(start)
            try:
                for chunk in chunks:
                    done += file.write(chunk)
                    advance(len(chunk))
                    if done > most_bytes:
                        break
            finally:
                file.flush()
                os.fsync(file.fileno())
    except requests.RequestException:  # an OSError too, but not the disk's
        raise
    except OSError as error:
        raise DownloadError(f"cannot write {partial}: {error.strerror}", "mend that and run again") from error
    if done > most_bytes:
        partial.unlink()
        raise _wrong_length(url, f"at least {done}", most_bytes)
    if total is not None and done != total:
        raise _BrokenOff(f"the connection ended after {done} of {total} bytes")


def _total_bytes(response: requests.Response) -> int | None:
    """Return the length of the whole file if the server reports it."""
    content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "") if "Content-Encoding" not in response.headers else ""
    else:
        length = content_range["total"] if content_range else ""
    return int(length) if _LENGTH.fullmatch(length) else None


def _first_byte(response: requests.Response) -> int | None:
    content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(content_range["first"]) if content_range and content_range["first"] else None
