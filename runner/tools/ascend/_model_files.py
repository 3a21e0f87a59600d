"""The files of an offline model, as the tools read them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from runner.core import CompiledModel
from runner.tools import command_line

WEIGHTS = "weight"
"""The folder of the weights beside a model that was compiled with --external_weight (ATC guide)."""


def of(model: CompiledModel) -> list[Path]:
    """Return the model's file, and the folder of its weights if they are not in it."""
    path = model.path.resolve()
    weights = path.parent / WEIGHTS
    return [path, weights] if weights.is_dir() else [path]


@contextmanager
def readable(model: CompiledModel, work: Path) -> Iterator[CompiledModel]:
    """Yield the model at a path that msit's ais_bench reads: without links, and of a file that others may not write.

    A file that they may write, or that neither the user nor a group of the user owns, is copied below `work` for the
    time of the block (FileStat.check_linux_permission in ait/components/benchmark of github.com/Ascend/msit).
    """
    path, *weights = of(model)
    status = path.stat()
    is_own = status.st_uid == os.geteuid() or status.st_gid in os.getgroups()
    if is_own and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield replace(model, path=path)
        return
    folder = command_line.new_folder(work / "model")
    try:
        shutil.copyfile(path, folder / path.name)
        (folder / path.name).chmod(0o600)
        for each in weights:
            (folder / each.name).symlink_to(each)
        yield replace(model, path=folder / path.name)
    finally:
        shutil.rmtree(folder)
