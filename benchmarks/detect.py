"""A whole evaluation of a detector, YOLOv5n at 640x640 with every box above 0.001: the runner against what is needed.

    python benchmarks/detect.py [--pictures 128] [--many 1024] [--rounds 3] [--root COCO --weights STATE_DICT]

Without --root the pictures are JPEG files drawn for it, with random boxes for truth; without --weights the network has
random weights, whose heads are set so that about as many boxes pass as with trained ones. Three ways, each in its own
process, in turns, imports and the making of the files apart:

- runner: the stages prepare, infer and score, called directly, nothing reused; compared with itself on one picture, as
  the reference stage, PyTorch, is no part of it;
- bare: what cannot be saved: preparing on all cores into memory and normalising, and after that ONNX Runtime over
  batches that lie ready;
- scoring: over the same outputs in memory the runner's decoder and metric, and a loop over pictures with torch,
  torchvision.ops.batched_nms and pycocotools.

The table counts each part's least time of the rounds. Exits 1 when the runner takes more than 1.15x what bare takes,
when scoring is less than twice as fast as the loop, when their figures differ by more than 0.01, or when the runner's
peak memory grows by more than a tenth from --pictures to --many (0: not measured).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import ways
from numpy.typing import NDArray
from prepare import in_memory, make_pictures
from ways import Clock, Parts, verdict

from runner.config.callables import Target
from runner.core import CompiledModel, Placement, Samples, TensorSpec, core_count
from runner.data import Geometry, Normalisation, Request, Row, batches, storage
from runner.stages.infer import InferSpec, ResultsSpec, infer
from runner.stages.prepare import PrepareSpec, prepare
from runner.stages.score import ScoreSpec, score

SIDE = 640
STRIDES = (8, 16, 32)
CLASSES = 80
ANCHORS = [[[10, 13], [16, 30], [33, 23]], [[30, 61], [62, 45], [59, 119]], [[116, 90], [156, 198], [373, 326]]]
SCORE, IOU, KEEP = 0.001, 0.6, 300
GEOMETRY = Geometry(fit="inside", pad_value=(114,))
NORMALISATION = Normalisation(1 / 255, (0.0,), (1.0,))
TENSOR = TensorSpec("image", "float32", (3, SIDE, SIDE))
OUTPUTS = tuple(
    TensorSpec(f"stride{stride}", "float32", (3 * (5 + CLASSES), SIDE // stride, SIDE // stride)) for stride in STRIDES
)
DECODE = Target(
    "runner.tasks.detection.Anchored", {"anchors": ANCHORS, "score": SCORE, "iou": IOU, "keep": KEEP}, "model.decode"
)
METRICS = {"coco": Target("runner.tasks.detection.CocoAveragePrecision", {}, "dataset.metrics")}
BATCH = 4
CORES = core_count()
MOST_OF_BARE = 1.15
LEAST_OF_LOOP = 2.0
FIGURES_APART = 0.01
MOST_GROWTH = 1.10
FIGURES = ("map", "map50", "map75", "map_small", "map_medium", "map_large")


def main() -> None:
    arguments = _parse_arguments()
    if arguments.way:
        print(json.dumps(WAYS[arguments.way](arguments.folder, arguments.pictures)))
        return
    with tempfile.TemporaryDirectory(prefix="detect-", dir=arguments.scratch) as scratch:
        folder = Path(scratch)
        if arguments.root:
            (folder / "data").symlink_to(arguments.root.absolute())
        else:
            _make_data(folder / "data", max(arguments.pictures, arguments.many))
        _export(arguments.weights, folder / "model.onnx")
        rounds = [
            {way: _run(way, folder, arguments.pictures) for way in ways.in_turn(WAYS, number)}
            for number in range(arguments.rounds)
        ]
        many = _run("runner", folder, arguments.many)["peak MiB"] if arguments.many else None
    sys.exit(0 if _report(rounds, many, arguments) else 1)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="an evaluation of a detector by the runner against what is needed")
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--many", type=int, default=1024, help="pictures, for the growth of memory; 0: not measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", type=Path, help="a folder with annotations/ and pictures in COCO's layout")
    parser.add_argument("--weights", type=Path, help="a state dict of YOLOv5n")
    parser.add_argument("--scratch", type=Path, help="where 10 MB a picture are written [the system's for such files]")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _make_data(data: Path, count: int) -> None:
    make_pictures(data, count, 640, 480)
    random = np.random.default_rng(0)
    images, annotations = [], []
    for index, path in enumerate(sorted((data / "val").iterdir())):
        images.append({"id": index, "file_name": path.name, "width": 640, "height": 480})
        for _ in range(7):  # as many as COCO has in a picture
            x, y, width, height = random.uniform((0, 0, 20, 20), (400, 300, 240, 180)).tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index,
                    "category_id": int(random.integers(1, CLASSES + 1)),
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                    "segmentation": [],
                }
            )
    categories = [{"id": number, "name": str(number)} for number in range(1, CLASSES + 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (data / "annotations").mkdir()
    (data / "annotations" / "instances_val.json").write_text(json.dumps(content))


def _export(weights: Path | None, path: Path) -> None:
    import torch

    from zoo.yolov5 import Yolov5

    torch.manual_seed(0)
    network = Yolov5("n", CLASSES).eval()
    if weights:
        network.load_state_dict(torch.load(weights, weights_only=True))
    else:
        _set_heads(network)
    ways.export(network.float(), TENSOR, [tensor.name for tensor in OUTPUTS], path)


def _set_heads(network: Any) -> None:
    """Let random weights find about as many boxes as trained ones."""
    import torch

    with torch.no_grad():
        outputs = network(torch.rand(1, *TENSOR.shape))
        for head, output in zip(network.model[-1].m, outputs, strict=True):
            means = output.mean(dim=(0, 2, 3))
            scale = 1.5 / (output - means[:, None, None]).std()
            logits = torch.tensor([0.0, 0, 0, 0, -8] + [-4] * CLASSES).tile(3)
            head.weight.mul_(scale)
            head.bias.copy_(logits - scale * (means - head.bias))


def _run(way: str, folder: Path, pictures: int) -> Parts:
    return ways.run("detect", way, "--folder", str(folder), "--pictures", str(pictures))


def by_runner(folder: Path, pictures: int) -> Parts:
    """The stages, each into an empty folder."""
    import onnxruntime  # noqa: F401  imports are no part of what is compared
    from PIL import Image  # noqa: F401

    model = CompiledModel(
        path=folder / "model.onnx", sha256="", soc="cpu", batch=BATCH, inputs=(TENSOR,), outputs=OUTPUTS
    )
    tool = Target("runner.tools.onnxruntime.OnnxRuntime")
    placement = Placement(soc="cpu", kind="cpu", devices=(0,))
    clock = Clock()
    with tempfile.TemporaryDirectory(dir=folder) as out:
        folders = [Path(out, name) for name in ("prepare", "infer", "score")]
        for each in folders:
            each.mkdir()
        samples = _prepared(folder, folders[0], pictures)
        clock.lap("prepare")
        spec = InferSpec(
            tool=tool,
            tool_version="",
            placement=placement,
            batch=BATCH,
            normalisation=NORMALISATION,
            results=ResultsSpec(decode=DECODE, samples=1),
        )
        inferred = infer(spec, model, samples, folders[1])
        clock.lap("infer")
        scores = score(ScoreSpec(DECODE, "labels", METRICS), inferred, inferred, samples, out=folders[2])
        clock.lap("score")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return clock.parts | {"peak MiB": peak} | scores.accuracy


def _prepared(folder: Path, out: Path, pictures: int) -> Samples:
    reader = Target("runner.tasks.detection.Coco", {"root": str(folder / "data"), "pictures": _pictures(folder)})
    return prepare(PrepareSpec(reader, Request((TENSOR,), GEOMETRY, pictures, 0), None), out=out)


def _pictures(folder: Path) -> str:
    return next(name for name in ("val", "val2017") if (folder / "data" / name).is_dir())


def by_bare(folder: Path, pictures: int) -> Parts:
    """Preparation and inference, one after the other, nothing kept on the disk."""
    import onnxruntime
    from PIL import Image  # noqa: F401

    files = [folder / "data" / _pictures(folder) / entry["file_name"] for entry in _listed(folder)[:pictures]]
    ready = np.ones((len(files), *TENSOR.shape), np.float32)  # its pages are there before the clock runs
    clock = Clock()
    for row, picture in enumerate(in_memory(files, GEOMETRY, (SIDE, SIDE))):
        np.multiply(picture, np.float32(1 / 255), out=ready[row])
    clock.lap("prepare")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    session.run(None, {TENSOR.name: ready[:1]})
    clock.lap(None)
    for start in range(0, len(ready), BATCH):
        session.run(None, {TENSOR.name: ready[start : start + BATCH]})
    clock.lap("infer")
    return clock.parts


def _listed(folder: Path) -> list[dict[str, Any]]:
    (path,) = (folder / "data" / "annotations").glob("instances_*.json")
    return sorted(json.loads(path.read_text())["images"], key=lambda entry: entry["id"])


def by_scoring(folder: Path, pictures: int) -> Parts:
    """The runner's decoder and metric, and a loop over pictures, in turns over the same outputs."""
    import torch  # noqa: F401  imports are no part of what is compared
    from pycocotools.coco import COCO
    from torchvision.ops import batched_nms  # noqa: F401

    from runner.tasks import decode_of, metric_of

    decode, metric = decode_of(DECODE), metric_of("coco", METRICS["coco"])
    (path,) = (folder / "data" / "annotations").glob("instances_*.json")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
    ids = iter([entry["id"] for entry in _listed(folder)[:pictures]])
    seen: list[int] = []
    detections: list[dict[str, Any]] = []
    clock = Clock()
    for outputs, rows in _outputs(folder, pictures):
        clock.lap(None)
        metric.add(decode(outputs, rows), [row.truth for row in rows])
        clock.lap("runner")
        for index, row in enumerate(rows):
            seen.append(next(ids))
            detections += _found_by_torch([array[index] for array in outputs.values()], row, seen[-1], truth)
        clock.lap("loop")
    clock.lap(None)
    ours = metric.compute()
    clock.lap("runner")
    theirs = _evaluated(truth, detections, seen)
    clock.lap("loop")
    apart = max(abs(ours[name] - value) for name, value in zip(FIGURES, theirs, strict=True) if value >= 0)
    return clock.parts | {"boxes": len(detections) / pictures, "apart": apart, "map": ours["map"]}


def _outputs(folder: Path, pictures: int) -> Iterator[tuple[dict[str, NDArray[Any]], list[Row]]]:
    """Yield the network's outputs batch by batch, with the rows' metadata."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    with tempfile.TemporaryDirectory(dir=folder) as out:
        samples = _prepared(folder, Path(out), pictures)
        facts = storage.facts(samples.path)
        for batch in batches.iterate(samples, NORMALISATION, BATCH):
            results = session.run(None, batch.inputs)
            count = len(batch.ids)
            outputs = {tensor.name: array[:count] for tensor, array in zip(OUTPUTS, results, strict=True)}
            yield outputs, list(islice(facts, count))


def _found_by_torch(maps: list[NDArray[Any]], row: Row, image_id: int, truth: Any) -> list[dict[str, Any]]:
    """Decode a picture's maps as YOLOv5's own evaluation does."""
    import torch
    from torchvision.ops import batched_nms, box_convert

    parts = []
    for values, anchors, stride in zip(maps, ANCHORS, STRIDES, strict=True):
        _, height, width = values.shape
        raw = torch.from_numpy(values).view(3, 5 + CLASSES, height, width).permute(0, 2, 3, 1).sigmoid()
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centres = (2 * raw[..., :2] - 0.5 + torch.stack((x, y), -1)) * stride
        sizes = (2 * raw[..., 2:4]) ** 2 * torch.tensor(anchors).view(3, 1, 1, 2)
        parts.append(torch.cat((centres, sizes, raw[..., 4:5] * raw[..., 5:]), -1).flatten(0, 2))
    rows = torch.cat(parts)
    objects, classes = (rows[:, 4:] > SCORE).nonzero(as_tuple=True)
    boxes, scores = box_convert(rows[objects, :4], "cxcywh", "xyxy"), rows[objects, 4 + classes]
    kept = batched_nms(boxes, scores, classes, IOU)[:KEEP]
    (top, left, _, _), (down, across), (high, wide) = row.padding, row.scale, row.original_size
    boxes = (boxes[kept] - torch.tensor([left, top, left, top])) / torch.tensor([across, down, across, down])
    boxes[:, 0::2].clamp_(0, wide)
    boxes[:, 1::2].clamp_(0, high)
    categories = sorted(truth.getCatIds())
    listed = (box_convert(boxes, "xyxy", "xywh").tolist(), scores[kept].tolist(), classes[kept].tolist())
    return [
        {"image_id": image_id, "category_id": categories[index], "bbox": box, "score": score}
        for box, score, index in zip(*listed, strict=True)
    ]


def _evaluated(truth: Any, detections: list[dict[str, Any]], ids: list[int]) -> list[float]:
    """Return COCOeval's FIGURES in percent, negative where undefined."""
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
        evaluation.params.imgIds = ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [100 * float(value) for value in evaluation.stats[: len(FIGURES)]]


WAYS: dict[str, Callable[[Path, int], Parts]] = {"runner": by_runner, "bare": by_bare, "scoring": by_scoring}


def _report(rounds: list[dict[str, Parts]], many: float | None, arguments: argparse.Namespace) -> bool:
    """Print the table; returns whether all is as it should be."""
    best = ways.best(rounds)
    kind = "trained" if arguments.weights else "random"
    print(f"YOLOv5n, {kind} weights, {arguments.pictures} pictures, batch {BATCH}, {CORES} cores, {len(rounds)} rounds")
    runner, scoring = best["runner"], best["scoring"]
    whole = {"runner": ("prepare", "infer", "score"), "bare": ("prepare", "infer")}
    seconds = {way: sum(best[way][part] for part in parts) for way, parts in whole.items()}
    for way, parts in whole.items():
        told = ", ".join(f"{part} {best[way][part]:.2f}" for part in parts)
        print(f"{way:8}{arguments.pictures / seconds[way]:8.1f} pictures/s{seconds[way]:9.2f} s   {told}")
    print(f"scoring: runner {scoring['runner']:.2f} s, loop {scoring['loop']:.2f} s, {scoring['boxes']:.0f} boxes each")
    checks = [
        ("runner/bare: {:.2f}x the time", seconds["runner"] / seconds["bare"], MOST_OF_BARE, False),
        ("scoring: {:.2f}x as fast as the loop", scoring["loop"] / scoring["runner"], LEAST_OF_LOOP, True),
        (f"map {scoring['map']:.2f}, figures {{:.4f}} apart", scoring["apart"], FIGURES_APART, False),
    ]
    if many is not None:
        print(f"peak memory: {runner['peak MiB']:.0f} MiB, with {arguments.many} pictures {many:.0f} MiB")
        checks.append(("growth of peak memory: {:.2f}x", many / runner["peak MiB"], MOST_GROWTH, False))
    met = [value >= limit if least else value <= limit for _, value, limit, least in checks]
    for (text, value, limit, _), good in zip(checks, met, strict=True):
        print(f"{text.format(value)} ({verdict(good)} {limit})")
    return all(met)


if __name__ == "__main__":
    main()
