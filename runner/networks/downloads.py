"""Downloads that resume, and that succeed only if the declared length and hash match."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from runner.core import DownloadError, sha256_of, track
from runner.core.lazy import requests

ATTEMPTS = 4
PAUSE_SECONDS = 1.0
"""Pause before the second attempt; doubled before each later one."""
TIMEOUT_SECONDS = (10.0, 60.0)
"""Timeouts for connecting and for reading."""
_COPIED_BYTES = 1 << 20
_RECEIVED_BYTES = 1 << 14
"""Small, since an incomplete chunk is lost when the connection breaks."""
_MOST_REDIRECTS = 10
_TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_SHA256 = re.compile(r"[0-9a-f]{8,64}")
_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<total>\d+|\*)")


class _BrokenOff(Exception):
    """A transient failure of an attempt."""


def download(url: str, target: Path, partial: Path, sha256: str | None, size_bytes: int | None) -> None:
    """Download an http, https or file URL to `target`.

    The data is collected in `partial`, on the same file system. An earlier attempt is resumed if a mixture of two
    versions would be detected: with a declared hash, or if the server sends a version (ETag, Last-Modified). Otherwise
    the download starts from the beginning.

    Args:
        sha256: All 64 hexadecimal digits, or at least the leading 8, as in torch.hub's file names. Required for plain
            http; better all 64 if known, since a file with the same few digits can be forged.
        size_bytes: The declared length.

    Raises:
        DownloadError: the URL cannot be fetched or trusted, or the file has another length or hash.
    """
    declared = None if sha256 is None else sha256.lower()
    if declared is not None and not _SHA256.fullmatch(declared):
        raise DownloadError(
            f"the declared SHA-256 {sha256!r} is none", "declare all 64 hexadecimal digits, or the leading 8 or more"
        )
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise DownloadError(f"{url} is no URL: {error}", "correct the URL") from error
    if scheme == "file":
        _copy(url, partial)
    elif scheme == "https" or (scheme == "http" and declared is not None):
        _fetch(url, partial, hashed=declared is not None, size_bytes=size_bytes)
    elif scheme == "http":
        raise DownloadError(
            f"{url} is plain http and no SHA-256 is declared, so anyone on the way could replace the file",
            "use https, or declare the file's sha256",
        )
    else:
        raise DownloadError(f"{url} has the scheme {scheme!r}", "use http, https or file")
    _check(url, partial, declared, size_bytes)
    partial.replace(target)
    _version_file(partial).unlink(missing_ok=True)


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


def _copy(url: str, partial: Path) -> None:
    split_url = urlsplit(url)
    source = Path(unquote(split_url.path))
    if split_url.netloc not in ("", "localhost"):
        raise DownloadError(f"{url} names a file on the host {split_url.netloc!r}", "write file:///absolute/path")
    if not source.is_file():
        raise DownloadError(f"{url}: there is no file {source}", "correct the URL")
    try:
        with source.open("rb") as reader, partial.open("wb") as writer:
            shutil.copyfileobj(reader, writer, _COPIED_BYTES)
            writer.flush()
            os.fsync(writer.fileno())
    except OSError as error:
        reason = f"cannot copy {source} to {partial}: {error.strerror}"
        raise DownloadError(reason, "mend that and run again") from error


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
    with requests.Session() as session:
        for attempt in range(1, ATTEMPTS + 1):
            if not hashed and _version(partial) is None:
                partial.unlink(missing_ok=True)
            try:
                _attempt(session, url, partial, size_bytes)
                return
            except requests.exceptions.SSLError as error:
                raise DownloadError(
                    f"{url}: {error}", "mend this machine's certificates, or download the file by hand to checkpoints/"
                ) from error
            except (_BrokenOff, *passing) as error:
                if attempt == ATTEMPTS:
                    raise _given_up(url, partial, hashed or _version(partial) is not None, error) from error
            except requests.RequestException as error:
                raise DownloadError(f"{url}: {error}", "correct the URL") from error
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))


def _given_up(url: str, partial: Path, resumable: bool, error: Exception) -> DownloadError:
    got = partial.stat().st_size if partial.exists() else 0
    kept = f"; the {got} bytes that came are kept, and running again resumes after them" if resumable and got else ""
    return DownloadError(
        f"{url} failed {ATTEMPTS} times, the last time with: {error}", f"check the network and run again{kept}"
    )


def _attempt(session: requests.Session, url: str, partial: Path, size_bytes: int | None) -> None:
    """Download the rest of `partial`, or the whole file if the server cannot resume."""
    start = partial.stat().st_size if partial.exists() else 0
    with _get(session, url, start, _version(partial)) as response:
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
        _receive(response, partial, start, total, size_bytes)


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
        following = urljoin(place, response.headers["Location"])
        allowed = ("https",) if urlsplit(place).scheme == "https" else ("http", "https")
        if urlsplit(following).scheme not in allowed:
            raise DownloadError(
                f"{url} redirects from {place} to {following}, which is not {' or '.join(allowed)}",
                "use a URL that stays on https, or download the file by hand to checkpoints/",
            )
        place = following
    raise DownloadError(f"{url} redirects more than {_MOST_REDIRECTS} times, last to {place}", "correct the URL")


def _receive(response: requests.Response, partial: Path, start: int, total: int | None, size_bytes: int | None) -> None:
    """Append the response to `partial`, up to the declared length; received data is kept if the connection breaks."""
    done = start
    try:
        with partial.open("ab" if start else "wb") as file, track(f"download {partial.stem}", total, "B") as advance:
            advance(start)
            try:
                for chunk in response.iter_content(_RECEIVED_BYTES):
                    done += file.write(chunk)
                    advance(len(chunk))
                    if size_bytes is not None and done > size_bytes:
                        break
            finally:
                file.flush()
                os.fsync(file.fileno())
    except requests.RequestException:  # an OSError too, but not the disk's
        raise
    except OSError as error:
        raise DownloadError(f"cannot write {partial}: {error.strerror}", "mend that and run again") from error
    if size_bytes is not None and done > size_bytes:
        partial.unlink()
        raise _wrong_length(response.url, f"at least {done}", size_bytes)
    if total is not None and done != total:
        raise _BrokenOff(f"the connection ended after {done} of {total} bytes")


def _total_bytes(response: requests.Response) -> int | None:
    """Return the length of the whole file if the server reports it."""
    content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "") if "Content-Encoding" not in response.headers else ""
    else:
        length = content_range["total"] if content_range else ""
    return int(length) if length.isdecimal() else None


def _first_byte(response: requests.Response) -> int | None:
    content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(content_range["first"]) if content_range and content_range["first"] else None
