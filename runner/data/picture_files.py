"""Files of pictures: finding them, naming samples by them, and decoding them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from runner.core import DataError, at_home, check_regular, is_unicode
from runner.core.lazy import Image, NDArray, np
from runner.data.picture_sources import PictureSource, TruthArrays
from runner.data.preprocess import Geometry

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""What is decoded, whatever a file's name says. Left out is PostScript, which Pillow has Ghostscript run."""
_SIXTEEN_BIT_FORMATS = ("PNG", "PPM")
"""Formats whose grey pictures of 16 bits some versions of Pillow give as mode I, of 32."""


def files_source(
    folder: Path,
    geometry: Geometry,
    truth: TruthArrays | None = None,
    alter: Callable[[str, NDArray[np.uint8]], NDArray[Any]] | None = None,
) -> PictureSource:
    """Return the source of pictures whose items are files relative to `folder`, in the geometry's channels."""
    return PictureSource(
        load=partial(_open, folder, geometry.channels), size_of=partial(_size, folder), truth=truth, alter=alter
    )


def _open(folder: Path, channels: str, file: str) -> Image.Image:
    return open_picture(folder / file, channels)


def _size(folder: Path, file: str) -> tuple[int, int]:
    return picture_size(folder / file)


def find_pictures(root: str | None, subfolder: str, fix: str) -> tuple[Path, list[str]]:
    """Return the pictures' folder, `root`/`subfolder` or `root`, and their relative paths, by file name, then by path.

    Raises:
        DataError: no root, no such folder, no pictures in it, or a broken symlink; `fix` is part of it.
    """
    base = root_folder(root, fix)
    folder = base / subfolder if (base / subfolder).is_dir() else base
    return folder, list_pictures(folder, fix)


def root_folder(root: str | None, fix: str) -> Path:
    """Return the data set's folder.

    Raises:
        DataError: there is none; `fix` is part of it.
    """
    if root is None:
        raise DataError("dataset.root is not set", fix)
    base = at_home(root).absolute()
    if not base.is_dir():
        raise DataError(f"dataset.root: {base} is {'a file, not' if base.exists() else 'not'} a folder", fix)
    return base


def list_pictures(folder: Path, fix: str) -> list[str]:
    """Return the paths of all pictures below a folder, relative to it, by file name, then by path.

    Raises:
        DataError: there are none, or a broken symlink; `fix` is part of it.
    """
    try:
        files = list(_scan(folder, "", ()))
    except OSError as error:
        raise DataError(f"dataset.root: {error.filename}: {error.strerror}", "give permission to read it") from error
    if not files:
        raise DataError(f"dataset.root: there are no pictures ({', '.join(EXTENSIONS)}) in {folder}", fix)
    return sorted(files, key=lambda file: (file.rpartition("/")[2], file))


def _scan(folder: Path, prefix: str, parents: tuple[Path, ...]) -> Iterator[str]:
    """Yield all images below `folder`/`prefix`, relative to `folder`; symlinks are followed, but not in cycles."""
    place = (folder / prefix).resolve()
    if place in parents:
        return
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _scan(folder, f"{prefix}{entry.name}/", (*parents, place))
            elif entry.name.lower().endswith(EXTENSIONS):
                _check_picture(entry, folder / prefix)
                yield prefix + entry.name


def _check_picture(entry: os.DirEntry[str], folder: Path) -> None:
    if not entry.is_file():
        path = folder / entry.name
        raise DataError(f"dataset.root: {path} is neither a file nor a link to one", "mend the link, or remove it")
    if not is_unicode(entry.name):
        raise DataError(f"dataset.root: the file name {entry.name!a} is not UTF-8", "rename the file")


def file_names(files: Sequence[str]) -> tuple[str, ...]:
    """Return file names truncated at their first dot."""
    return tuple(file.rpartition("/")[2].partition(".")[0] for file in files)


def sample_ids(files: Sequence[str]) -> tuple[str, ...]:
    """Return file names truncated at their first dot if these are unique, else paths without extension."""
    names = file_names(files)
    if len(set(names)) == len(names):
        return names
    paths = tuple(file.rpartition(".")[0] for file in files)
    if len(set(paths)) < len(paths):
        first, second = same_name(files, paths)
        raise DataError(f"{first} and {second} differ only in their extension", "rename one of them, or remove one")
    return paths


def same_name(files: Sequence[str], names: Sequence[str]) -> tuple[str, str]:
    """Return two files with the same name."""
    seen: dict[str, str] = {}
    for file, name in zip(files, names, strict=True):
        if name in seen:
            return seen[name], file
        seen[name] = file
    raise ValueError("all names differ")


def open_picture(source: Path | IO[bytes], channels: str = "rgb") -> Image.Image:
    """Decode a picture, as grey for `channels` "grey", else as RGB; its transparency and EXIF's rotation are left out.

    Raises:
        DataError: it is unreadable or truncated, or has 32 bits a pixel for one channel.
    """
    with opened_picture(source) as picture:
        if picture.mode not in ("F", "I") or picture.format in _SIXTEEN_BIT_FORMATS:
            return _in_bytes(picture).convert("L" if channels == "grey" else "RGB")
        raise DataError(
            f"{source} is of mode {picture.mode}, numbers of 32 bits, of which it is not known what is white",
            "convert it to 8 or 16 bits a channel, or take it out of the data set",
        )


def picture_size(path: Path) -> tuple[int, int]:
    """Return a picture's [height, width], read from its header.

    Raises:
        DataError: it is unreadable.
    """
    with opened_picture(path) as picture:
        return picture.height, picture.width


@contextmanager
def opened_picture(source: Path | IO[bytes], what: str = "picture") -> Iterator[Image.Image]:
    """Yield a picture whose pixels are still to be decoded; `what` says in errors what it holds.

    Raises:
        DataError: it is unreadable, or what the block decodes of it is.
    """
    try:
        if isinstance(source, Path):
            check_regular(source)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=FORMATS) as picture:
                yield picture
    except DataError:
        raise
    except Exception as error:  # PIL's decoders raise nearly anything on broken files, even SyntaxError
        raise DataError(
            f"{source} is not a readable {what}: {error}", "fetch it again, or take it out of the data set"
        ) from error


def _in_bytes(picture: Image.Image) -> Image.Image:
    """Return a picture with a byte a channel: of 16 bits the upper 8, as Pillow takes them of colours."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
