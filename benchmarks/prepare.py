"""Preparing pictures for a network: the way of the zoo's guides against the runner's ImageFolder, side by side.

    python benchmarks/prepare.py [--pictures 1000] [--size 500x375]

The guides' way is one process that writes one float32 .bin a picture. Each way runs in its own process over the same
JPEG files, in turns; the table gives the most pictures a second of its rounds, its peak memory (RSS summed over its
processes, sampled), and the bytes that it leaves on the disk. All values of both are then compared.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.core import TensorSpec, core_count
from runner.data import Geometry, Normalisation, Request, normalise, open_picture, place
from runner.data.preprocess import fit_picture
from runner.data.storage import open_array
from runner.tasks.classification import ImageFolder
from runner.tasks.classification.synthetic import draw_picture

GEOMETRY = Geometry(resize=256, interpolation="bicubic", crop=224, channels="rgb")
NORMALISATION = Normalisation(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
TENSOR = TensorSpec("image", "float32", (3, GEOMETRY.crop or 0, GEOMETRY.crop or 0))
TOLERANCE = 1e-6
SAMPLING_SECONDS = 0.02
ROUNDS = 3
WAYS = ("guides", "runner")


@dataclass(frozen=True)
class Measured:
    """What one way took."""

    seconds: float
    peak_rss_bytes: int
    disk_bytes: int


def main() -> None:
    arguments = _parse_arguments()
    if arguments.way:
        _prepare(arguments.way, arguments.folder, arguments.out)
        return
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="prepare-") as scratch:
        data = Path(scratch, "data")
        make_pictures(data, arguments.pictures, width, height)
        rounds = [{way: _measure(way, data, Path(scratch, way)) for way in WAYS} for _ in range(ROUNDS)]
        difference = _largest_difference(Path(scratch))
    print(f"{arguments.pictures} JPEG pictures of {arguments.size}, resize 256 bicubic, crop 224")
    _print_table({way: _best([measured[way] for measured in rounds]) for way in WAYS}, arguments.pictures)
    agree = difference <= TOLERANCE
    print(f"largest difference of any value: {difference:.2g} ({'within' if agree else 'BEYOND'} {TOLERANCE:g})")
    sys.exit(0 if agree else 1)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="guides' preparation against the runner's")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--size", default="500x375", help="width x height, pixels")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def make_pictures(data: Path, count: int, width: int, height: int) -> None:
    """A data set of drawn JPEG pictures, `data`/val beside `data`/val_label.txt."""
    (data / "val").mkdir(parents=True)
    names = [f"{index:06d}.JPEG" for index in range(count)]
    for index, name in enumerate(names):
        draw_picture(0, index, width, height).save(data / "val" / name, "JPEG", quality=90)
    (data / "val_label.txt").write_text("".join(f"{name} {index % 1000}\n" for index, name in enumerate(names)))


def in_memory(files: Sequence[Path], geometry: Geometry, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Each picture as it is prepared for an input of (height, width), on all cores, nothing kept on the disk."""
    with multiprocessing.get_context("fork").Pool(core_count()) as pool:
        yield from pool.imap(partial(_load, geometry=geometry, size=size), files, chunksize=4)


def _load(path: Path, geometry: Geometry, size: tuple[int, int]) -> NDArray[np.uint8]:
    picture = open_picture(path)
    (placed,) = place((picture.height, picture.width), geometry, size)
    return fit_picture(picture, placed, geometry)


def _prepare(way: str, data: Path, out: Path) -> None:
    """Prepare in this process, and print the seconds that it took."""
    out.mkdir()
    start = time.perf_counter()
    if way == "guides":
        _prepare_as_guides(data / "val", out)
    else:
        ImageFolder(str(data), None).write(Request((TENSOR,), GEOMETRY, None, 0), out, None)
    print(json.dumps(time.perf_counter() - start))


def _prepare_as_guides(folder: Path, out: Path) -> None:
    """One picture after the other, each into its own float32 file."""
    for path in sorted(folder.iterdir()):
        _preprocess_as_guides(path).tofile(out / f"{path.name.split('.')[0]}.bin")


def _preprocess_as_guides(path: Path) -> NDArray[np.float32]:
    from PIL import Image

    with Image.open(path) as file:
        picture = file.convert("RGB")
    width, height = picture.size
    if width < height:
        picture = picture.resize((256, int(256 * height / width)), Image.Resampling.BICUBIC)
    else:
        picture = picture.resize((int(256 * width / height), 256), Image.Resampling.BICUBIC)
    left, top = round((picture.width - 224) / 2), round((picture.height - 224) / 2)
    values = np.array(picture.crop((left, top, left + 224, top + 224)), np.float32).transpose(2, 0, 1) / 255
    values -= np.array(NORMALISATION.mean, np.float32)[:, None, None]
    values /= np.array(NORMALISATION.std, np.float32)[:, None, None]
    return np.ascontiguousarray(values)


def _measure(way: str, data: Path, out: Path) -> Measured:
    """Run one way in its own process, into an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    argv = [sys.executable, __file__, "--way", way, "--folder", str(data), "--out", str(out)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _tree_rss_bytes(process.pid))
        time.sleep(SAMPLING_SECONDS)
    assert process.stdout is not None
    printed = process.stdout.read()
    if process.returncode:
        sys.exit(process.returncode)
    disk_bytes = sum(path.stat().st_size for path in out.iterdir())
    return Measured(json.loads(printed), peak, disk_bytes)


def _best(rounds: list[Measured]) -> Measured:
    """The shortest time, which other work on the machine disturbed least, and the largest memory."""
    return Measured(
        min(measured.seconds for measured in rounds),
        max(measured.peak_rss_bytes for measured in rounds),
        rounds[0].disk_bytes,
    )


def _tree_rss_bytes(pid: int) -> int:
    """RSS of a process and its descendants, summed; shared pages count in each."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it ended meanwhile
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    own = int(lines[0].split()[1]) * 1024 if lines else 0
    return own + sum(_tree_rss_bytes(int(child)) for child in children)


def _largest_difference(scratch: Path) -> float:
    array = open_array(scratch / "runner", TENSOR.name)
    stored = np.memmap(array.path, array.dtype, "r", array.offset, (array.count, *array.shape))
    files = sorted((scratch / "guides").iterdir())
    assert len(files) == array.count
    return max(
        float(
            np.abs(np.fromfile(file, np.float32).reshape(TENSOR.shape) - normalise(row[None], NORMALISATION)[0]).max()
        )
        for file, row in zip(files, stored, strict=True)
    )


def _print_table(measured: dict[str, Measured], pictures: int) -> None:
    guides, runner = measured["guides"], measured["runner"]
    rows = [
        ("pictures/s", pictures / guides.seconds, pictures / runner.seconds),
        ("peak RSS, MiB", guides.peak_rss_bytes / 2**20, runner.peak_rss_bytes / 2**20),
        ("on disk, MiB", guides.disk_bytes / 2**20, runner.disk_bytes / 2**20),
    ]
    print(f"{'':16}{'guides':>10}{'runner':>10}{'runner/guides':>16}")
    for name, theirs, ours in rows:
        print(f"{name:16}{theirs:10.1f}{ours:10.1f}{ours / theirs:16.2f}")


if __name__ == "__main__":
    main()
