"""Readers of pictures whose network input is made from the true picture, or lies beside it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from runner.core import DataError, Problem, bounded, first_few
from runner.core.lazy import Image, NDArray, np
from runner.data import (
    Geometry,
    HashFiles,
    Picture,
    PictureSource,
    Request,
    TruthArrays,
    open_picture,
    picture_size,
    root_folder,
    sample_ids,
)
from runner.tasks.listed import Counterparts, ListedPictures, Listing, is_file, pictures_ending
from runner.tasks.restoration import _pixels

ROOT_FIX = "give dataset.root=DIR holding the pictures, or dataset=synthetic_textures to try without"


class _PictureFiles(ListedPictures):
    """Pictures in files below a folder; subclasses say in which, and how inputs and truths are made of them."""

    @property
    @abstractmethod
    def _folder(self) -> Path:
        """The folder of the files that name the samples."""

    @property
    def _suffix(self) -> str:
        """What the names of these files end in."""
        return ""

    @cached_property
    def _listing(self) -> Listing:
        files = pictures_ending(self._folder, self._suffix, ROOT_FIX)
        return Listing(self._folder, list(map(Picture, files, sample_ids(files))))

    def _problems(self, request: Request) -> list[Problem]:
        return [*super()._problems(request), *_pixels.problems(request)]

    def _files(self, request: Request) -> list[str]:
        return [picture.item for picture in self._wanted(request)]


@dataclass(frozen=True)
class NoisyPictures(_PictureFiles):
    """Clean pictures below `root`; the network gets them with seeded noise N(0, sigma) added, in units of 0..255.

    Noise is not clipped to 0..255, differs between pictures, and is added after padding and tiling: tiles of one
    picture have the same. The truth is the clean picture.
    """

    root: str | None = None
    sigma: float = bounded(25.0, least=0)

    seeded = True

    @property
    def _folder(self) -> Path:
        return root_folder(self.root, ROOT_FIX)

    def _source(self, request: Request) -> PictureSource:
        return replace(
            super()._source(request),
            truth=_pixels.true_pictures(self._folder.joinpath, request.geometry),
            alter=partial(_pixels.add_noise, request.seed, self.sigma),
        )


@dataclass(frozen=True)
class PicturePairs(_PictureFiles):
    """Pictures in `root`/`inputs`; the true ones, `factor` times as large, have the same names in `root`/`targets`.

    Where the names differ, a true picture has that of its input with `input_suffix` (by default the extension)
    replaced by `target_suffix`, as in x2.png and .png for 0801x2.png and 0801.png. Inputs of other names are left out.
    """

    root: str | None = None
    inputs: str = "data"
    targets: str = "target"
    factor: int = bounded(1, least=1)
    input_suffix: str = ""
    target_suffix: str | None = None

    @property
    def _folder(self) -> Path:
        return self._subfolder(self.inputs)

    @property
    def _suffix(self) -> str:
        return self.input_suffix

    @property
    def _targets(self) -> Counterparts:
        return Counterparts(self._subfolder(self.targets), self.input_suffix, self.target_suffix)

    def _subfolder(self, name: str) -> Path:
        folder = root_folder(self.root, ROOT_FIX) / name
        if not folder.is_dir():
            raise DataError(
                f"dataset.root: there is no folder {folder}",
                f"give dataset.root=DIR holding {self.inputs}/ (what the network gets) and {self.targets}/ (the truth)",
            )
        return folder

    def content(self, request: Request, hash_files: HashFiles) -> Any:
        targets = self._targets
        hashes = list(hash_files(targets.folder, targets.files(self._wanted(request))))
        return {**super().content(request, hash_files), "targets": hashes}

    def _check(self, request: Request) -> None:
        inputs, targets, files = self._folder, self._targets, self._files(request)
        lacking = [file for file in files if not is_file(targets.path(file))]
        if lacking:
            raise DataError(
                f"{len(lacking)} of the {len(self._listing.pictures)} pictures in {inputs} have none of their name in "
                f"{targets.folder}: {first_few(lacking, 3)}; there is no {targets.path(lacking[0])}",
                "add the true pictures, take the others away, or say how the names differ, as in "
                "+dataset.reader.input_suffix=x2.png +dataset.reader.target_suffix=.png for 0801x2.png and 0801.png",
            )
        for file in files:
            target = targets.path(file)
            (height, width), true_size = picture_size(inputs / file), picture_size(target)
            if true_size != (height * self.factor, width * self.factor):
                raise DataError(
                    f"{target} is {true_size[1]}x{true_size[0]} pixels, and the picture in {inputs} is "
                    f"{width}x{height}: not {self.factor} times smaller",
                    "choose the pictures for the model's scale, or correct model.decode.scale",
                )
        super()._check(request)

    def _source(self, request: Request) -> PictureSource:
        truth = _pixels.true_pictures(self._targets.path, request.geometry)
        return replace(super()._source(request), truth=truth)


@dataclass(frozen=True)
class ShrunkPictures(_PictureFiles):
    """Large pictures below `root`, the truth; the network gets them `factor` times smaller, by PIL's bicubic filter.

    A picture whose sides are no multiples of `factor` loses its last rows and columns first.
    """

    root: str | None = None
    factor: int = bounded(2, least=1)

    @property
    def _folder(self) -> Path:
        return root_folder(self.root, ROOT_FIX)

    def _check(self, request: Request) -> None:
        for file in self._files(request):
            height, width = picture_size(self._folder / file)
            if min(height, width) < self.factor:
                raise DataError(
                    f"{self._folder / file} is {width}x{height} pixels, too small to be shrunk {self.factor} times",
                    "take it out of the data set",
                )
        super()._check(request)

    def _source(self, request: Request) -> PictureSource:
        folder, geometry = self._folder, request.geometry
        return PictureSource(
            load=partial(_load_shrunk, folder, geometry.channels, self.factor),
            size_of=partial(_shrunk_size, folder, self.factor),
            truth=TruthArrays(
                dtype="uint8",
                shape_of=partial(_cut_shape, folder, geometry, self.factor),
                load=partial(_load_cut, folder, geometry.channels, self.factor),
            ),
        )


def shrink(picture: Image.Image, factor: int) -> Image.Image:
    """Return a picture whose sides are multiples of `factor` that many times smaller, by PIL's bicubic filter."""
    return picture.resize((picture.width // factor, picture.height // factor), Image.Resampling.BICUBIC)


def _load_shrunk(folder: Path, channels: str, factor: int, file: str) -> Image.Image:
    return shrink(_cut(open_picture(folder / file, channels), factor), factor)


def _shrunk_size(folder: Path, factor: int, file: str) -> tuple[int, int]:
    height, width = picture_size(folder / file)
    return height // factor, width // factor


def _load_cut(folder: Path, channels: str, factor: int, file: str) -> NDArray[np.uint8]:
    return _pixels.as_array(_cut(open_picture(folder / file, channels), factor))


def _cut_shape(folder: Path, geometry: Geometry, factor: int, file: str) -> tuple[int, ...]:
    height, width = _shrunk_size(folder, factor, file)
    return _pixels.true_shape(geometry, (height * factor, width * factor))


def _cut(picture: Image.Image, factor: int) -> Image.Image:
    return picture.crop((0, 0, picture.width // factor * factor, picture.height // factor * factor))
