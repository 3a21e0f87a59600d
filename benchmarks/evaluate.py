"""A whole evaluation, from JPEG to top-1: the runner's stages against a DataLoader with an ONNX Runtime loop.

    python benchmarks/evaluate.py [--pictures 3000] [--size 500x375] [--rounds 3] [--network mobilenet_v3_small]

Three ways over the same JPEG files and the same ONNX file (a network of torchvision's, random weights), each in its
own process, in turns, imports and the making of the files apart:

- runner: the stages prepare, infer and score, called directly, nothing reused;
- loader: a torch DataLoader (a worker a core, torchvision's transforms) feeding ONNX Runtime, as timm's
  onnx_validate.py does it (github.com/huggingface/pytorch-image-models);
- bare: what cannot be saved: decoding, resizing and cropping on all cores into memory and normalising, and after that
  ONNX Runtime over batches that lie ready.

Three thousand pictures, so that starting processes, some 0.3 s, counts for about what it does in ImageNet's fifty.
The network is a small one, as ONNX Runtime takes the same time in all three: with SqueezeNet (--network squeezenet1_0)
it takes three quarters of it on two cores, and bare itself is hardly 1.2x as fast as the loader.

The table counts each part's least time of the rounds, which other work on the machine disturbed least. Exits 1 when the
runner is less than 1.2x as fast as the loader or takes more than 1.10x what bare takes, or when the ways disagree on
top-1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ways
from numpy.typing import NDArray
from prepare import in_memory, make_pictures
from ways import Clock, Parts, verdict

from runner.config.callables import Target
from runner.core import CompiledModel, Placement, TensorSpec, core_count
from runner.data import Geometry, Normalisation, Request
from runner.stages.infer import InferSpec, infer
from runner.stages.prepare import PrepareSpec, prepare
from runner.stages.score import ScoreSpec, score
from runner.tasks.classification import ImageFolder

NORMALISATION = Normalisation(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SIDE = 224
GEOMETRY = Geometry(resize=256, interpolation="bicubic", crop=SIDE, channels="rgb")
TENSOR = TensorSpec("image", "float32", (3, SIDE, SIDE))
BATCH = 32
CORES = core_count()
LEAST_OF_LOADER = 1.2
MOST_OF_BARE = 1.10
DISAGREEMENT = 0.5
"""Top-1, in percent: torchvision's resizing rounds the longer side otherwise for some sizes."""


def main() -> None:
    arguments = _parse_arguments()
    if arguments.way:
        print(json.dumps(WAYS[arguments.way](arguments.folder)))
        return
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory(prefix="evaluate-") as scratch:
        folder = Path(scratch)
        make_pictures(folder / "data", arguments.pictures, width, height)
        _export(arguments.network, folder / "model.onnx")
        rounds = [_round(folder, number) for number in range(arguments.rounds)]
    sys.exit(0 if _report(rounds, arguments) else 1)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="an evaluation by the runner against a DataLoader")
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--size", default="500x375", help="width x height, pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", default="mobilenet_v3_small", help="a classifier of torchvision.models")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _export(network: str, path: Path) -> None:
    import torch
    import torchvision

    torch.manual_seed(0)
    ways.export(torchvision.models.get_model(network, weights=None), TENSOR, ["class"], path)


def _round(folder: Path, number: int) -> dict[str, Parts]:
    return {way: ways.run("evaluate", way, "--folder", str(folder)) for way in ways.in_turn(WAYS, number)}


def by_runner(folder: Path) -> Parts:
    """The stages, each into an empty folder."""
    import onnxruntime  # noqa: F401  imports are no part of what is compared
    from PIL import Image  # noqa: F401

    reader = Target("runner.tasks.classification.ImageFolder", {"root": str(folder / "data"), "labels": None})
    placement = Placement(soc="cpu", kind="cpu", devices=(0,))
    model = CompiledModel(
        path=folder / "model.onnx",
        sha256="",
        soc="cpu",
        batch=BATCH,
        inputs=(TENSOR,),
        outputs=(TensorSpec("class", "float32", (1000,)),),
    )
    tool = Target("runner.tools.onnxruntime.OnnxRuntime")
    clock = Clock()
    with tempfile.TemporaryDirectory(dir=folder) as out:
        folders = [Path(out, name) for name in ("prepare", "infer", "score")]
        for each in folders:
            each.mkdir()
        request = Request((TENSOR,), GEOMETRY, None, 0)
        samples = prepare(PrepareSpec(reader, request, None), out=folders[0])
        clock.lap("prepare")
        spec = InferSpec(tool=tool, tool_version="", placement=placement, batch=BATCH, normalisation=NORMALISATION)
        inferred = infer(spec, model, samples, folders[1])
        clock.lap("infer")
        metrics = {"top1": Target("runner.tasks.classification.top_k", {"k": 1})}
        # compared with itself: the work of comparing with PyTorch, without PyTorch
        scores = score(ScoreSpec(None, "labels", metrics), inferred, inferred, samples, out=folders[2])
        clock.lap("score")
    return clock.parts | {"top1": scores.accuracy["top1"]}


def by_loader(folder: Path) -> Parts:
    """timm's way: workers transform, the main process infers and counts."""
    import onnxruntime
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    class Pictures(Dataset[Any]):
        def __init__(self) -> None:
            lines = (folder / "data" / "val_label.txt").read_text().splitlines()
            self.items = [line.split() for line in lines]
            self.transform = transforms.Compose(
                [
                    transforms.Resize(256, transforms.InterpolationMode.BICUBIC),
                    transforms.CenterCrop(224),
                    transforms.ToTensor(),
                    transforms.Normalize(NORMALISATION.mean, NORMALISATION.std),
                ]
            )

        def __len__(self) -> int:
            return len(self.items)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            name, label = self.items[index]
            with Image.open(folder / "data" / "val" / name) as picture:
                return self.transform(picture.convert("RGB")), int(label)

    clock = Clock()
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    loader = DataLoader(Pictures(), batch_size=BATCH, shuffle=False, num_workers=CORES)
    right = total = 0
    for batch, labels in loader:
        (outputs,) = session.run([], {TENSOR.name: batch.numpy()})
        right += int((torch.from_numpy(outputs).argmax(dim=1) == labels).sum())
        total += len(labels)
    clock.lap("all")
    return clock.parts | {"top1": 100.0 * right / total}


def by_bare(folder: Path) -> Parts:
    """Preparation and inference, one after the other, nothing kept on the disk."""
    import onnxruntime
    from PIL import Image  # noqa: F401

    pictures = ImageFolder(str(folder / "data"))._listing.pictures
    ready = np.ones((len(pictures), *TENSOR.shape), np.float32)  # its pages are there before the clock runs
    clock = Clock()
    files = [folder / "data" / "val" / picture.item for picture in pictures]
    for row, picture in enumerate(in_memory(files, GEOMETRY, (SIDE, SIDE))):
        ready[row] = _normalised(picture)
    clock.lap("prepare")
    batches = [ready[start : start + BATCH] for start in range(0, len(ready), BATCH)]
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    session.run(None, {TENSOR.name: batches[0][:1]})
    clock.lap(None)
    outputs = np.concatenate([session.run(None, {TENSOR.name: batch})[0] for batch in batches])
    clock.lap("infer")
    labels = np.array([picture.truth for picture in pictures])
    return clock.parts | {"top1": 100.0 * float((outputs.argmax(axis=1) == labels).mean())}


def _normalised(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (NORMALISATION.mean, NORMALISATION.std))
    values = stored.astype(np.float32) / np.float32(255)
    return np.asarray((values - mean) / std, np.float32)


WAYS: dict[str, Callable[[Path], Parts]] = {"runner": by_runner, "loader": by_loader, "bare": by_bare}


def _report(rounds: list[dict[str, Parts]], arguments: argparse.Namespace) -> bool:
    """Print the table; returns whether all is as it should be."""
    print(f"{arguments.network} on {arguments.pictures} JPEG pictures of {arguments.size}")
    print(f"batch {BATCH}, {CORES} cores, {len(rounds)} rounds")
    best = ways.best(rounds)
    top1 = {way: parts["top1"] for way, parts in best.items()}
    print(f"{'':8}{'pictures/s':>12}{'of loader':>11}{'seconds':>9}   parts")
    for way, parts in best.items():
        told = ", ".join(f"{name} {seconds:.2f}" for name, seconds in parts.items() if name != "top1")
        rate, ratio = arguments.pictures / _seconds(parts), _seconds(best["loader"]) / _seconds(parts)
        print(f"{way:8}{rate:12.1f}{ratio:11.2f}{_seconds(parts):9.2f}   {told}")
    faster = _seconds(best["loader"]) / _seconds(best["runner"])
    longer = _seconds(best["runner"]) / _seconds(best["bare"])
    agree = max(top1.values()) - min(top1.values()) <= DISAGREEMENT
    print(f"runner/loader: {faster:.2f}x as fast ({verdict(faster >= LEAST_OF_LOADER)} {LEAST_OF_LOADER})")
    print(f"runner/bare: {longer:.2f}x the time ({verdict(longer <= MOST_OF_BARE)} {MOST_OF_BARE})")
    print(f"top-1: {', '.join(f'{way} {value:.2f}' for way, value in top1.items())} ({verdict(agree)} {DISAGREEMENT})")
    return faster >= LEAST_OF_LOADER and longer <= MOST_OF_BARE and agree


def _seconds(parts: Parts) -> float:
    return sum(value for name, value in parts.items() if name != "top1")


if __name__ == "__main__":
    main()
