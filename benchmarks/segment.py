"""Segmentation at 1024x2048: what label maps and their confusion matrix cost in an evaluation.

    python benchmarks/segment.py [--pictures 6] [--size 1024x2048] [--rounds 3]

Drawn pictures through ESPNet (19 classes, logits in the picture's size, random weights) in ONNX Runtime, by the
runner's stages prepare and infer, called directly. Then on the same outputs, in turns:

- runner: Maps and ConfusionMatrix, timed apart;
- plain: numpy's argmax and a bincount of the pixels that are not ignored, as most evaluation scripts do it;
- a quarter, plain quarter: the same from logits at a quarter of the size, as SegFormer gives them: resized by the
  runner, and by PyTorch's interpolate.

The network is a fast one, so that the shares are large. The table counts each part's least time of the rounds. Exits 1
when the confusion matrix takes more than 10 % of prepare, infer, decode and count together, when the runner is less
than twice as fast as the plain ways, or when their figures differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ways import export, verdict

from runner.config.callables import Target
from runner.core import CompiledModel, Placement, Predictions, Samples, TensorSpec
from runner.data import Geometry, Normalisation, Request, Row, predictions, storage
from runner.stages.infer import InferSpec, infer
from runner.stages.prepare import PrepareSpec, prepare
from runner.tasks.segmentation import ConfusionMatrix, Maps

CLASSES = 19
LARGEST_SHARE = 0.10
LEAST_OF_PLAIN = 2.0
NORMALISATION = Normalisation(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

Seconds = dict[str, float]
"""By part."""


def main() -> None:
    parser = argparse.ArgumentParser(description="what label maps and their confusion matrix cost in an evaluation")
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--size", default="1024x2048", help="height x width, pixels, multiples of 8")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="segment-") as scratch:
        run, samples, inferred = _evaluated(Path(scratch), arguments.pictures, (height, width))
        rounds = [[way(samples, inferred) for way in WAYS.values()] for _ in range(arguments.rounds)]
    figures = {name: found[1] for name, found in zip(WAYS, rounds[0], strict=True)}
    best = {
        name: {part: min(each[index][0][part] for each in rounds) for part in rounds[0][index][0]}
        for index, name in enumerate(WAYS)
    }
    print(f"ESPNet, {CLASSES} classes, {arguments.pictures} pictures of {arguments.size}")
    sys.exit(0 if _report(run, best, figures, arguments.pictures) else 1)


def _evaluated(folder: Path, pictures: int, size: tuple[int, int]) -> tuple[Seconds, Samples, Predictions]:
    """Prepare and infer; return the seconds of both, the samples and the outputs."""
    tensor = TensorSpec("image", "float32", (3, *size))
    _export(folder / "model.onnx", tensor)
    arguments = {"count": pictures, "width": size[1], "height": size[0], "classes": CLASSES}
    reader = Target("runner.tasks.segmentation.SyntheticShapes", arguments)
    model = CompiledModel(
        path=folder / "model.onnx",
        sha256="",
        soc="cpu",
        batch=1,
        inputs=(tensor,),
        outputs=(TensorSpec("logits", "float32", (CLASSES, *size)),),
    )
    spec = InferSpec(
        tool=Target("runner.tools.onnxruntime.OnnxRuntime"),
        tool_version="",
        placement=Placement(soc="cpu", kind="cpu", devices=(0,)),
        batch=1,
        normalisation=NORMALISATION,
    )
    for name in ("prepare", "infer"):
        (folder / name).mkdir()
    started = time.perf_counter()
    request = Request((tensor,), Geometry(fit="none"), None, 0)
    samples = prepare(PrepareSpec(reader, request, None), out=folder / "prepare")
    prepared = time.perf_counter()
    inferred = infer(spec, model, samples, folder / "infer")
    return {"prepare": prepared - started, "infer": time.perf_counter() - prepared}, samples, inferred


def _export(path: Path, tensor: TensorSpec) -> None:
    import torch

    from zoo.espnet import Espnet

    torch.manual_seed(0)
    export(Espnet(CLASSES), tensor, ["logits"], path, 1)


def _pairs(samples: Samples, inferred: Predictions, step: int) -> Iterator[tuple[NDArray[Any], Row]]:
    """Yield each picture's logits [1, classes, h, w], every `step`-th of a line and a column, and its metadata."""
    facts = storage.facts(samples.path)
    for outputs in predictions.iterate(inferred):
        for logits in outputs["logits"]:
            yield np.ascontiguousarray(logits[None, :, ::step, ::step]), next(facts)


Found = tuple[Seconds, dict[str, float]]
"""Seconds by part, and the figures."""


def by_runner(samples: Samples, inferred: Predictions, step: int = 1) -> Found:
    """The runner's decoder and metric."""
    decode, metric = Maps(), ConfusionMatrix(CLASSES, ignore=255)
    seconds = {"decode": 0.0, "count": 0.0}
    for logits, row in _pairs(samples, inferred, step):
        started = time.perf_counter()
        results = decode({"logits": logits}, [row])
        decoded = time.perf_counter()
        metric.add(results, [row.truth])
        seconds["decode"] += decoded - started
        seconds["count"] += time.perf_counter() - decoded
    return seconds, metric.compute()


def by_scripts(samples: Samples, inferred: Predictions, step: int = 1) -> Found:
    """The way of most scripts."""
    import torch
    from torch.nn.functional import interpolate

    matrix = np.zeros((CLASSES, CLASSES), np.int64)
    seconds = {"decode": 0.0, "count": 0.0}
    for logits, row in _pairs(samples, inferred, step):
        started = time.perf_counter()
        if step > 1:
            logits = interpolate(torch.from_numpy(logits), row.truth.shape, mode="bilinear").numpy()
        result = logits.argmax(axis=1)[0]
        decoded = time.perf_counter()
        counted = row.truth != 255
        pairs = CLASSES * row.truth[counted].astype(np.int64) + result[counted]
        matrix += np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
        seconds["decode"] += decoded - started
        seconds["count"] += time.perf_counter() - decoded
    both = np.diag(matrix)
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - both
    return seconds, {"miou": float(100 * (both[union > 0] / union[union > 0]).mean())}


WAYS: dict[str, Callable[[Samples, Predictions], Found]] = {
    "runner": by_runner,
    "plain": by_scripts,
    "a quarter": lambda samples, inferred: by_runner(samples, inferred, 4),
    "plain quarter": lambda samples, inferred: by_scripts(samples, inferred, 4),
}


def _report(run: Seconds, best: dict[str, Seconds], figures: dict[str, dict[str, float]], pictures: int) -> bool:
    """Print the table; return whether all limits are kept."""
    print(f"{'':15}{'decode':>10}{'count':>10}   ms a picture")
    for name, parts in best.items():
        print(f"{name:15}" + "".join(f"{1000 * parts[part] / pictures:10.1f}" for part in ("decode", "count")))
    parts = run | best["runner"]
    whole = sum(parts.values())
    print("of a run: " + ", ".join(f"{name} {100 * seconds / whole:.1f} %" for name, seconds in parts.items()))
    share = parts["count"] / whole
    print(f"confusion matrix: {100 * share:.2f} % ({verdict(share <= LARGEST_SHARE)} {100 * LARGEST_SHARE:.0f})")
    kept = share <= LARGEST_SHARE
    for ours, theirs in (("runner", "plain"), ("a quarter", "plain quarter")):
        faster = sum(best[theirs].values()) / sum(best[ours].values())
        equal = abs(figures[ours]["miou"] - figures[theirs]["miou"]) < 1e-3
        print(
            f"{ours}/{theirs}: {faster:.1f}x as fast ({verdict(faster >= LEAST_OF_PLAIN)} {LEAST_OF_PLAIN}), ", end=""
        )
        print(f"mIoU {figures[ours]['miou']:.4f} and {figures[theirs]['miou']:.4f} ({'equal' if equal else 'DIFFER'})")
        kept = kept and equal and faster >= LEAST_OF_PLAIN
    return kept


if __name__ == "__main__":
    main()
