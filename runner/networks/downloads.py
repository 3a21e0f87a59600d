"""Downloads that resume, and that succeed only if the declared length and hash match.

The URL may be a stranger's, and so may the server: what it may do is bounded (runner.networks._responses), and so is
the size of a file.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from runner.core import DownloadError, sha256_of, track
from runner.core.lazy import requests
from runner.networks._responses import BrokenOff, parts_of, streamed

ATTEMPTS = 4
PAUSE_SECONDS = 1.0
"""Pause before the second attempt; doubled before each later one."""
MOST_BYTES = 64 << 30
"""Length of the largest file whose length is not declared."""
HUGGING_FACE = "huggingface.co"
"""Has a mirror of its own in HF_ENDPOINT, as its own library has it."""
_TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_SHA256 = re.compile(r"[0-9a-f]{8,64}")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes (?:(?P<first>[0-9]{1,18})-[0-9]{1,18}|\*)/(?P<total>[0-9]{1,18}|\*)")
_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]*@")


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
        if parts_of(place).scheme == "http" and declared is None:
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
    split = parts_of(url)
    if mirror is not None:
        parts_of(mirror)
        return f"{mirror.rstrip('/')}/{url.partition('://')[2]}"
    endpoint = os.environ.get("HF_ENDPOINT")
    if endpoint and split.hostname == HUGGING_FACE:
        parts_of(endpoint)
        return endpoint.rstrip("/") + split._replace(scheme="", netloc="").geturl()
    return url


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
        except (BrokenOff, *passing) as error:
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
    with streamed(url, start, _version(partial)) as (response, chunks):
        if response.status_code == 416 and start:
            if _total_bytes(response) != start:
                partial.unlink()
                raise BrokenOff(f"the server has no byte {start}")
            return
        if response.status_code in _TRANSIENT_STATUSES:
            raise BrokenOff(f"status {response.status_code} {response.reason}")
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
            raise BrokenOff(f"asked for the bytes from {start} on, the server sent others")
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


def _keep_version(response: requests.Response, partial: Path) -> None:
    tag = response.headers.get("ETag", "")
    # A weak ETag does not guarantee identical bytes.
    named = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    _version_file(partial).write_text(named)


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
        raise BrokenOff(f"the connection ended after {done} of {total} bytes")


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
