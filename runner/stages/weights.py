"""Stage `weights`: a checkpoint from a file or a URL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.core import CheckpointError, Weights, sha256_of
from runner.networks import download


@dataclass(frozen=True)
class FileSpec:
    """A checkpoint file on disk; `sha256` is its hash when the run was planned."""

    path: Path
    sha256: str | None


@dataclass(frozen=True)
class UrlSpec:
    """A checkpoint to download; `file` is its published name, `sha256` the declared hash or its leading digits.

    A `mirror` is where it is downloaded from instead of the URL (runner.networks.download).
    """

    url: str
    file: str
    sha256: str | None
    size_bytes: int | None
    mirror: str | None = None


def weights(spec: FileSpec | UrlSpec, out: Path) -> Weights:
    """Get the weights; a download is written to `out`, a file is used in place.

    An interrupted download leaves `<file>.part` in `out`, from which the next attempt resumes.

    Raises:
        CheckpointError: the file is missing, or changed since the run was planned.
        DownloadError: the URL could not be downloaded completely.
    """
    if isinstance(spec, FileSpec):
        return _from_file(spec.path, spec.sha256)
    target = out / spec.file
    download(spec.url, target, out / f"{spec.file}.part", spec.sha256, spec.size_bytes, spec.mirror)
    return Weights(target, sha256_of(target), "url")


def _from_file(path: Path, planned_sha256: str | None) -> Weights:
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}", "put the checkpoint back") from error
    if planned_sha256 is not None and digest != planned_sha256:
        raise CheckpointError(
            f"{path} changed while this ran: its SHA-256 was {planned_sha256} and is now {digest}",
            "run again when nothing writes to it any more",
        )
    return Weights(path, digest, "file")
