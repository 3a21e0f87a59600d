"""Images -> one uint8 array, on all cores, in bounded memory, resuming after a killed run.

Workers are spawned, not forked (the parent may have torch's threads), and write at their own offsets of one file.
Finished chunks are fsynced and then recorded in the journal `chunks.note`: the digest of the plan in the first line, a
chunk's index in each further line.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path

from runner.core import NOTE_SUFFIX, DataError, Problem, TensorSpec, core_count, track, write_atomically
from runner.core.lazy import NDArray, np
from runner.data.reader import Request
from runner.data.storage import StoredArray, create_array, open_array, storable_types, unwritable, write_at

CHUNK_PICTURES = 32
JOURNAL = f"chunks{NOTE_SUFFIX}"
BROKEN_SHOWN = 5
CHUNKS_IN_FLIGHT_PER_WORKER = 2

LoadItem = Callable[[str], "NDArray[np.uint8]"]
"""An image's name in the data set -> uint8 [3, H, W]; must be picklable. Raises DataError."""


def picture_tensor(request: Request) -> TensorSpec:
    """Return the tensor spec in which a model's images are stored."""
    return TensorSpec(request.inputs[0].name, "uint8", request.inputs[0].shape)


def picture_problems(request: Request) -> list[Problem]:
    """Return the reasons why images cannot be the model's input."""
    if len(request.inputs) == 1 and _is_picture(request.inputs[0]):
        return []
    shapes = ", ".join(f"{tensor.name} {tensor.dtype} {list(tensor.shape)}" for tensor in request.inputs)
    return [
        Problem(
            f"the data set holds pictures, the model takes {shapes}",
            "choose a dataset= that fits, or a model with one input [3, height, width] of floating point or bytes",
        )
    ]


def _is_picture(tensor: TensorSpec) -> bool:
    return "uint8" in storable_types(tensor) and len(tensor.shape) == 3 and tensor.shape[0] == 3


def write_pictures(load: LoadItem, items: Sequence[str], tensor: TensorSpec, out: Path) -> None:
    """Write the images of `items` in order as `tensor`'s array in `out`.

    Raises:
        DataError: images cannot be read; the first few are named, finished chunks are kept.
        StoreError: the array cannot be written.
    """
    journal = out / JOURNAL
    chunks = [items[start : start + CHUNK_PICTURES] for start in range(0, len(items), CHUNK_PICTURES)]
    plan = hashlib.sha256(json.dumps([tensor.shape, CHUNK_PICTURES, list(items)]).encode()).hexdigest()
    array, finished = _resume(journal, plan, tensor, len(items), out)
    jobs = {
        index: partial(_write_chunk, load, chunk, array, index * CHUNK_PICTURES)
        for index, chunk in enumerate(chunks)
        if index not in finished
    }
    broken: list[str] = []
    with track("prepare", len(items), "images") as advance, closing(_run(jobs)) as results:
        advance(sum(len(chunks[index]) for index in finished))
        for index, messages in results:
            if not messages:
                _append(journal, index)
            broken += messages
            advance(len(chunks[index]))
            if len(broken) >= BROKEN_SHOWN:
                break
    if broken:
        raise DataError(
            "\n".join(broken[:BROKEN_SHOWN]),
            "fetch these pictures again, or take them out of the data set; what is finished is kept",
        )


def _resume(journal: Path, plan: str, tensor: TensorSpec, count: int, out: Path) -> tuple[StoredArray, set[int]]:
    """Return the array to write into and the chunks that an earlier attempt finished."""
    finished = _read_journal(journal, plan)
    try:
        array = open_array(out, tensor.name)
    except DataError:  # removed or truncated since
        finished = set()
    try:
        if not finished:
            journal.unlink(missing_ok=True)  # before the array is recreated, since it would describe the new one
            array = create_array(out, tensor, count)
        # rewritten, so that a partial last line is not continued
        write_atomically(journal, "".join(f"{line}\n" for line in (plan, *sorted(finished))).encode())
    except OSError as error:
        raise unwritable(journal, error) from error
    return array, finished


def _read_journal(journal: Path, plan: str) -> set[int]:
    if not journal.exists():
        return set()
    lines = journal.read_text(errors="replace").split("\n")[:-1]
    return {int(line) for line in lines[1:] if line.isdecimal()} if lines and lines[0] == plan else set()


def _append(journal: Path, index: int) -> None:
    try:
        with journal.open("a") as file:
            file.write(f"{index}\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(journal, error) from error


def _write_chunk(load: LoadItem, items: Sequence[str], array: StoredArray, first: int) -> list[str]:
    """Write a chunk's images from sample `first` on; return the errors of those that could not be written."""
    broken = []
    try:
        descriptor = os.open(array.path, os.O_WRONLY)
        try:
            for index, item in enumerate(items, first):
                try:
                    write_at(descriptor, _load_fitting(load, item, array.shape), array.position(index))
                except DataError as error:
                    broken.append(error.message)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unwritable(array.path, error, array.size_bytes) from error
    return broken


def _load_fitting(load: LoadItem, item: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    picture = load(item)
    if picture.shape != shape:
        raise DataError(f"{item} is {list(picture.shape)} after preprocessing, the model takes {list(shape)}")
    return picture


Job = Callable[[], "list[str]"]


def _run(jobs: Mapping[int, Job]) -> Generator[tuple[int, list[str]], None, None]:
    """Run all jobs on all cores, including this process; yield (index, result) as they finish.

    Working in this process too saves a worker and its memory, and makes progress while the workers start.
    """
    workers = min(core_count(), len(jobs)) - 1
    if workers < 1:
        for index, job in jobs.items():
            yield index, job()
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_serve_parent)
    waiting = iter(jobs.items())
    pending: dict[Future[list[str]], int] = {}
    try:
        while True:
            for index, job in islice(waiting, workers * CHUNKS_IN_FLIGHT_PER_WORKER - len(pending)):
                pending[pool.submit(job)] = index
            for index, job in islice(waiting, 1):
                yield index, job()
            if not pending:
                return
            done = [future for future in pending if future.done()]
            for future in done or wait(pending, return_when=FIRST_COMPLETED).done:
                yield pending.pop(future), future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process that prepares pictures was killed, perhaps for want of memory",
            "run again: it goes on where it stopped; fewer cores (taskset) need less memory",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _serve_parent() -> None:
    """Ignore Ctrl-C, and exit when the parent dies: workers of a killed parent would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
