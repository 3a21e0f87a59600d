"""What the stand-ins of ais_bench and ais_infer.py share: files in, files out, and a summary.

STANDIN_FAULT makes them misbehave:
    hang         sleeps for ever            error       exits 1                 silent     exits 0 with nothing written
    unwritten    names outputs, writes none fewer       leaves an output out    duplicate  one stem for all
    tail         leaves the last sample out truncated   half a summary          no-summary
    old-keys     the summary of 2022        other-keys  a summary of no version
    memory       only batch 1 fits          killed      dies as by the kernel's hand for want of memory
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aclruntime
import numpy as np

FAULT = os.environ.get("STANDIN_FAULT", "")


@dataclass
class Run:
    """One device's run: `rows` of (input files, ...) and what came of them."""

    device: int
    batchsize: int
    latencies_ms: list[float] = field(default_factory=list)
    filesinfo: dict[int, Any] = field(default_factory=dict)

    @property
    def throughput(self) -> float:
        return 1000 * self.batchsize / float(np.mean(self.latencies_ms))


def chosen_sizes(given: argparse.Namespace) -> dict[str, Any]:
    """The flags that choose batch size and shapes, as `run` takes them."""
    return {
        "dym_batch": given.dymBatch,
        "dym_hw": given.dymHW,
        "dym_dims": given.dymDims,
        "dym_shape": given.dymShape,
        "output_size": given.outputSize,
    }


def misbehave() -> None:
    if FAULT == "hang":
        print("[INFO] waiting for the device", flush=True)
        time.sleep(3600)
    if FAULT == "error":
        sys.exit("[ERROR] something went wrong")
    if FAULT == "silent":
        sys.exit(0)
    if FAULT == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


def natural(folder: str) -> list[Path]:
    """Not recursive, *.bin only, in natural order, as the real one reads a folder."""
    paths = [path for path in Path(folder).iterdir() if path.suffix == ".bin"]
    if not paths:
        sys.exit(f"[ERROR] {folder} of input args not find valid file")
    return sorted(paths, key=lambda path: [int(t) if t.isdigit() else t for t in re.split("([0-9]+)", str(path))])


def run(
    model: str,
    device: int,
    columns: list[list[Path]],
    folder: Path | None,
    batchsize: int | None,
    loop: int,
    warmup: int,
    drop_tail: bool = False,
    dym_hw: str | None = None,
    dym_dims: str | None = None,
    dym_batch: int = 0,
    dym_shape: str | None = None,
    output_size: str | None = None,
) -> Run:
    """`columns` are the files of each input; none is pure inference on zeros."""
    options = aclruntime.session_options()
    session = aclruntime.InferenceSession(model, device, options)
    if dym_batch != 0:
        session.set_dynamic_batchsize(dym_batch)
    elif dym_hw is not None:
        session.set_dynamic_hw(*map(int, dym_hw.split(",")))
    elif dym_dims is not None:
        session.set_dynamic_dims(dym_dims)
    elif dym_shape is not None:
        session.set_dynamic_shape(dym_shape)
    else:
        session.set_staticbatch()
    if output_size is not None:
        session.set_custom_outsize([int(size) for size in output_size.split(",")])
    inputs = session.get_inputs()
    if FAULT == "memory" and inputs[0].shape[0] > 1:
        print("EL0004: [PID: 4711] 2025-09-28-07:22:29.827.496 Failed to allocate memory.")
        sys.exit("[ERROR] aclrtMalloc failed, error code is 207001")
    names = [desc.name for desc in session.get_outputs()]
    done = Run(device, batchsize or inputs[0].shape[0])
    groups = _groups(columns, inputs, drop_tail) if columns else [[[None] for _ in inputs]]
    _infer(session, names, groups[0], warmup)
    session.reset_sumaryinfo()
    options.loop = loop
    for group in groups:
        outputs = _infer(session, names, group, 1)
        if folder is not None and columns:
            _write(done, group, outputs, folder)
    done.latencies_ms = list(session.sumary().exec_time_list)
    return done


def _groups(columns: list[list[Path]], inputs: list[Any], drop_tail: bool) -> list[list[list[Path]]]:
    """Batches of files for each input; the last padded with None, which stands for its first file."""
    if len(columns) != len(inputs):
        sys.exit(f"[ERROR] args input dir num:{len(columns)} not equal to model inputs num:{len(inputs)}")
    size = columns[0][0].stat().st_size
    if size == 0 or inputs[0].realsize % size:
        sys.exit(f"[ERROR] arg0 tensorsize: {inputs[0].realsize} filesize: {size} not match")
    per_batch = inputs[0].realsize // size
    count = len(columns[0]) // per_batch if drop_tail else math.ceil(len(columns[0]) / per_batch)
    padded = [[*column, *[None] * per_batch] for column in columns]
    return [[column[i * per_batch : (i + 1) * per_batch] for column in padded] for i in range(count)]


def _infer(session: Any, names: list[str], group: list[list[Any]], times: int) -> list[Any]:
    feeds = []
    for files, desc in zip(group, session.get_inputs(), strict=True):
        content = b"".join((file or files[0]).read_bytes() for file in files) if files[0] else bytes(desc.realsize)
        feeds.append(aclruntime.Tensor(np.frombuffer(content, np.int8)))
        feeds[-1].to_device(0)
    outputs: list[Any] = []
    for _ in range(times):
        outputs = session.run(names, feeds)
    for output in outputs:
        output.to_host()
    return [np.array(output) for output in outputs]


def _write(done: Run, group: list[list[Any]], outputs: list[Any], folder: Path) -> None:
    rows = len(group[0])
    first = len(done.filesinfo)
    for k, output in enumerate(outputs[:-1] if FAULT == "fewer" else outputs):
        for row, values in enumerate(np.array_split(output, rows)):
            source = group[0][row]
            if source is None:
                continue
            stem = "image" if FAULT == "duplicate" else source.name.split(".")[0]
            path = folder / f"{stem}_{k}.bin"
            infiles = [str(files[row]) for files in group]
            entry = done.filesinfo.setdefault(first + row, {"infiles": infiles, "outfiles": []})
            entry["outfiles"].append(str(path))
            if FAULT != "unwritten":
                values.tofile(path)


def report(done: Run, summary: Path | None, old: bool = False) -> None:
    if FAULT == "tail":
        done.filesinfo.pop(max(done.filesinfo, default=None), None)
    mean = float(np.mean(done.latencies_ms))
    compute: dict[str, Any] = {"min": min(done.latencies_ms), "max": max(done.latencies_ms), "mean": mean}
    compute |= {"median": mean, "percentile(99%)": mean, "count": len(done.latencies_ms)}
    content: dict[str, Any] = {"filesinfo": done.filesinfo, "args": sys.argv, "NPU_compute_time": compute}
    content |= {"H2D_latency": {}, "D2H_latency": {}, "throughput": done.throughput}
    content |= {"npu_compute_time_list": done.latencies_ms, "pid": os.getpid()}
    if old or FAULT == "old-keys":
        del content["npu_compute_time_list"], content["pid"], compute["count"]
    if FAULT == "other-keys":
        content["compute_time"] = content.pop("NPU_compute_time")
    text = json.dumps(content)
    if summary is not None and FAULT != "no-summary":
        summary.write_text(text[: len(text) // 2] if FAULT == "truncated" else text)
    print(
        f"[INFO] throughput 1000*batchsize.mean({done.batchsize})/NPU_compute_time.mean({mean}): {done.throughput}",
        flush=True,
    )
