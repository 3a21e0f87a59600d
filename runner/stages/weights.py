"""Stage `weights`: a checkpoint, or an ONNX model from outside, from a file or a URL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urljoin

from runner.core import CheckpointError, DownloadError, Weights, sha256_of
from runner.graph import external_data
from runner.networks import download


@dataclass(frozen=True)
class FileSpec:
    """A file on disk; `sha256` is its hash when the run was planned.

    `is_onnx` is whether it is an ONNX model, whose hash counts the files beside it that hold its weights.
    """

    path: Path
    sha256: str | None
    is_onnx: bool = False


@dataclass(frozen=True)
class UrlSpec:
    """A file to download; `file` is its published name, `sha256` the declared hash or its leading digits.

    A `mirror` is where it is downloaded from instead of the URL (runner.networks.download). `is_onnx` is whether it is
    an ONNX model: the files with its weights are downloaded from beside it.
    """

    url: str
    file: str
    sha256: str | None
    size_bytes: int | None
    mirror: str | None = None
    is_onnx: bool = False


def weights(spec: FileSpec | UrlSpec, out: Path) -> Weights:
    """Get the weights; a download is written to `out`, a file is used in place.

    An interrupted download leaves `<file>.part` in `out`, from which the next attempt resumes.

    Raises:
        CheckpointError: the file is missing, or changed since the run was planned.
        DownloadError: the URL could not be downloaded completely.
        ExportError: an ONNX model names files with weights that are not beside it.
    """
    if isinstance(spec, FileSpec):
        return _from_file(spec)
    target = out / spec.file
    download(spec.url, target, out / f"{spec.file}.part", spec.sha256, spec.size_bytes, spec.mirror)
    if spec.is_onnx:
        _download_data(spec, target)
    return Weights(target, _digest(target, spec.is_onnx), "url")


def _from_file(spec: FileSpec) -> Weights:
    try:
        digest = _digest(spec.path, spec.is_onnx)
    except OSError as error:
        raise CheckpointError(f"{spec.path} cannot be read: {error.strerror}", "put the checkpoint back") from error
    if spec.sha256 is not None and digest != spec.sha256:
        raise CheckpointError(
            f"{spec.path} changed while this ran: its SHA-256 was {spec.sha256} and is now {digest}",
            "run again when nothing writes to it any more",
        )
    return Weights(spec.path, digest, "file")


def _digest(path: Path, is_onnx: bool) -> str:
    return external_data.digest(path) if is_onnx else sha256_of(path)


def _download_data(spec: UrlSpec, model: Path) -> None:
    """Download the files with an ONNX model's weights, which the model names, from beside its URL to beside it."""
    for name in external_data.locations(model):
        target = model.parent / name
        if not external_data.is_below(name) or target == model:
            raise DownloadError(
                f"{spec.url} wants weights from {name!r}, which is no file beside it",
                "get a model whose weights lie beside it, and give it with weights=PATH",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.part")
        download(urljoin(spec.url, quote(name)), target, partial, None, None, spec.mirror)
