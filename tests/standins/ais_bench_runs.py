"""What the stand-ins of both lines of ais_bench share: values of flags, checks of paths, and the run.

Each lists its flags in its own `ais_bench/infer/__main__.py`, as the real ones do: the runner reads them there.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import front_end

ODD = re.compile(r"[^_A-Za-z0-9/.-]")


def positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is an invalid positive int value")
    return value


def boolean(text: str) -> bool:
    if text.lower() not in ("yes", "true", "t", "y", "1", "no", "false", "f", "n", "0"):
        raise argparse.ArgumentTypeError("Boolean value expected true, 1, false, 0 with case insensitive.")
    return text.lower() in ("yes", "true", "t", "y", "1")


def devices(text: str) -> list[int]:
    values = [int(part) for part in text.split(",")]
    if not all(0 <= value <= 255 for value in values):
        raise argparse.ArgumentTypeError(f"device:{text} is invalid. valid value range is [0, 255]")
    return values


def is_legal(path: str, is_read: bool) -> bool:
    """msit's FileStat.is_basically_legal, with its words."""
    if ODD.search(path):
        print(f"[ERROR] path:{path} contains illegal char, legal chars include A-Z a-z 0-9 _ - / .")
        return False
    if not os.path.exists(path):  # noqa: PTH110
        if is_read:
            print(f"[ERROR] path: {path} not exist, please check if file or dir is exist")
        return not is_read
    if os.path.islink(path):  # noqa: PTH114
        print(f"[ERROR] path :{path} is a soft link, not supported, please import file(or directory) directly")
        return False
    if os.stat(path).st_mode & (stat.S_IWGRP | stat.S_IWOTH):  # noqa: PTH116
        print(
            f"[ERROR] The file {path} is group writable, or is others writable, as {'im' if is_read else 'ex'}port"
            " file(or directory), permission should not be over 0o755(rwxr-xr-x)"
        )
        return False
    return True


def readable(path: str) -> str:
    if not is_legal(path, is_read=True):
        raise argparse.ArgumentTypeError(f"path:{path} is illegal. Please check.")
    return path


def readable_folders(text: str) -> str:
    return ",".join(map(readable, text.split(",")))


def writable(path: str) -> str:
    if not is_legal(path, is_read=False):
        raise argparse.ArgumentTypeError(f"output path:{path} is illegal. Please check.")
    return path


def profile() -> None:
    """Start this program anew under msprof, as both lines do; go on where there is none."""
    msprof = shutil.which("msprof")
    if msprof is None:
        print("[INFO] find no msprof continue use acl.json mode")
        return
    application = f"{sys.executable} -m ais_bench {' '.join(sys.argv[1:])} --profiler=0 --warmup_count=0"
    output = sys.argv[sys.argv.index("--output") + 1]
    switches = ("--model-execution=on", "--sys-hardware-mem=on", "--task-time=on", "--aicpu=on")
    sys.exit(subprocess.call([msprof, f"--output={output}/profiler", f"--application={application}", *switches]))


def check_files(folder: str) -> None:
    for path in sorted(Path(folder).iterdir()):
        if not is_legal(str(path), is_read=True):
            sys.exit(f"RuntimeError: input data:{path} is illegal")


def run(given: argparse.Namespace, divides: bool, folder_of: Callable[[int, int], str]) -> None:
    """`folder_of` names the folder of one of several devices by its id and its place."""
    if given.profiler:
        profile()
    front_end.misbehave()
    columns = [front_end.natural(folder) for folder in given.input.split(",")] if given.input else []
    several = len(given.device) > 1
    rates = []
    for index, device in enumerate(given.device):
        parts = len(given.device) if divides else 1
        size = math.ceil(len(columns[0]) / parts) if columns else 0
        first = index * size if divides else 0
        share = [column[first : first + size] for column in columns]
        if columns and not share[0]:
            sys.exit("[ERROR] Invalid args.   of --input is invalid")
        folder = None
        if given.output is not None:
            folder = Path(given.output) / (given.output_dirname or time.strftime("%Y_%m_%d-%H_%M_%S"))
            folder = folder / folder_of(device, index) if several else folder
            folder.mkdir(parents=True, exist_ok=True)
        counts = (given.batchsize, given.loop, given.warmup_count)
        sizes = front_end.chosen_sizes(given)
        done = front_end.run(given.model, device, share, folder, *counts, **sizes)
        front_end.report(done, folder.with_name(f"{folder.name}_summary.json") if folder else None)
        rates.append(done.throughput)
    if several:
        print(f"[INFO] summary throughput:{sum(rates)}")
