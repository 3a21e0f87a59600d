"""Responses of servers that may be strangers'.

Only http and https are spoken, redirects lead to no host inside this network, no credentials of the user's are sent,
and the time that a response takes is bounded.

The proxy and the certificates are those of the usual variables, which requests reads: HTTPS_PROXY, HTTP_PROXY,
NO_PROXY, REQUESTS_CA_BUNDLE.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from runner.core import DownloadError
from runner.core.lazy import requests

TIMEOUT_SECONDS = (10.0, 30.0)
"""Timeouts for connecting and for reading."""
SLOWEST_CHUNK_SECONDS = 60.0
"""How long a chunk, or the response before the first one, may take: a server that sends a byte now and then is left."""
LONGEST_SECONDS = 12 * 3600.0
"""How long an attempt may take."""
_RECEIVED_BYTES = 1 << 14
"""Small, since an incomplete chunk is lost when the connection breaks."""
_CHUNKS_AHEAD = 64
_MOST_REDIRECTS = 10


class BrokenOff(Exception):
    """A transient failure of an attempt."""


def parts_of(url: str) -> SplitResult:
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


@contextmanager
def streamed(url: str, start: int, version: str | None) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
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
    if isinstance(error, (requests.RequestException, BrokenOff, DownloadError)):
        return error
    return DownloadError(
        f"{url}: {type(error).__name__}: {error}", "correct the URL, or the variables of proxy and certificates"
    )


def _without_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send a request as it is: requests would look for a password in ~/.netrc, where a URL may be a stranger's."""
    return request


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
    host = parts_of(url).hostname
    try:
        found = {str(each[4][0]).partition("%")[0] for each in socket.getaddrinfo(host, None)}
    except OSError:  # behind a proxy, names may be known to the proxy alone
        return False
    return any(not ipaddress.ip_address(address).is_global for address in found)
