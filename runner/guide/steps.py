"""`python -m runner.guide.steps`: the steps of a guide before and after the commands of the card's own programs.

A guide converts with atc and infers with the card's tool by commands that a person pastes. `onnx` and `samples` make
the files that these commands read, and `score` reads the files that they write.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner import cli
from runner.config import groups, loading
from runner.config.schema import RunConfig
from runner.core import ConfigError, DataError, OnnxModel, Predictions, Samples, StoreError, TensorSpec
from runner.core.lazy import NDArray, np
from runner.data import batches, predictions, rows
from runner.graph import onnx_files
from runner.pipeline import display, outcome, preflight
from runner.pipeline.execute import Run, make
from runner.pipeline.plan import Plan
from runner.pipeline.setup import Setup, open_store

_OUTPUT = re.compile(r"(?P<sample>\d{8})_(?P<number>\d+)\.bin")
"""A file that the card's tool writes: the sample's name, and the output's number."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a step; return 0, 1 on an error, or 2 if a gate failed."""
    return cli.exit_code_of(lambda: _carry_out(_parser().parse_intermixed_args(arguments)))


def onnx(config: RunConfig, target: Path) -> int:
    """Write the model as atc takes it to the file `target`: exported, simplified and changed as its YAML says."""
    with _ran(config, ["simplify"]) as (run, _):
        model = run.artifacts["simplify"]
        assert isinstance(model, OnnxModel)
        _to(target, lambda: onnx_files.copy(model.path, target))
    print(f"model: {target}")
    return 0


def samples(config: RunConfig, target: Path) -> int:
    """Write each sample as the compiled model takes it: `target`/<number of the input>/<number of the sample>.bin."""
    with _ran(config, ["prepare"]) as (run, _):
        prepared = run.artifacts["prepare"]
        assert isinstance(prepared, Samples)
        _to(target, lambda: _write_samples(run.setup, prepared, target))
    print(f"samples: {prepared.count} in {target}")
    return 0


def score(config: RunConfig, results: Path) -> int:
    """Score the outputs below the folder `results`, print the table of a run, and return a run's exit code.

    Raises:
        DataError: outputs are missing, twice there, or of another size.
    """
    with _ran(config, ["simplify", "reference"]) as (run, plan):
        model, prepared = run.artifacts["simplify"], run.artifacts["prepare"]
        assert isinstance(model, OnnxModel)
        assert isinstance(prepared, Samples)
        run.artifacts["infer"] = _read(results, model.outputs, prepared, run.folder)
        stage = next(stage for stage in plan.stages if stage.name == "score")
        run.artifacts["score"] = make(stage, {name: run.artifacts[name] for name in stage.needs}, run.folder)
        made = outcome.build(run.setup, run.records, run.artifacts, run.commands, None)
    display.summary(made)
    return made.exit_code


STEPS: Mapping[str, tuple[Callable[[RunConfig, Path], int], str]] = {
    "onnx": (onnx, "write the ONNX model that atc compiles to a file"),
    "samples": (samples, "write the prepared samples to a folder, as the files that the card's tool reads"),
    "score": (score, "score the files that the card's tool wrote to a folder, and compare them with PyTorch"),
}
"""Step -> its function, and what it does."""


def _parser() -> argparse.ArgumentParser:
    about = "The steps of a guide before and after the commands of the card's own programs."
    parser = cli.Parser(prog="python -m runner.guide.steps", description=about)
    told = "; ".join(f"{name}: {text}" for name, (_, text) in STEPS.items())
    parser.add_argument("step", choices=STEPS, help=told)
    parser.add_argument("path", type=Path, help="the file or the folder that the step writes or reads")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as the runner takes them: model=NAME ...")
    parser.add_argument(*groups.CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours, as the runner takes it")
    return parser


def _carry_out(options: argparse.Namespace) -> int:
    from runner.config.compose import compose

    step, _ = STEPS[options.step]
    own = groups.config_dir_arguments(options.config_dir)
    return step(loading.load(compose([*own, *options.overrides])), options.path)


@contextmanager
def _ran(config: RunConfig, stages: list[str]) -> Iterator[tuple[Run, Plan]]:
    """Run some stages and what they need, as the runner does; the run's folder is removed afterwards."""
    setup = Setup(replace(config, stages=stages))
    with tempfile.TemporaryDirectory(prefix="guide-") as folder, closing(open_store(config)) as store:
        run, plan = Run(setup, store, Path(folder)), preflight.checked_plan(setup, store)
        run.go(plan)
        yield run, plan


def _to(target: Path, write: Callable[[], object]) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write()
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}", "name another place") from error


def _write_samples(setup: Setup, prepared: Samples, target: Path) -> None:
    if setup.free_inputs:
        raise ConfigError(
            f"sizes of model={setup.config.model.name}'s inputs differ between samples",
            "let the runner infer, which calls the tool once a size: python -m runner model=...",
        )
    folders = [target / str(number) for number in range(len(setup.inputs))]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)  # a tool infers every file in it
        folder.mkdir(parents=True)
    for number, batch in enumerate(batches.iterate(prepared, setup.host_normalisation, 1)):
        for folder, array in zip(folders, batch.inputs.values(), strict=True):
            (folder / f"{number:08d}.bin").write_bytes(array[0].tobytes())


def _read(results: Path, outputs: Sequence[TensorSpec], prepared: Samples, folder: Path) -> Predictions:
    """Return the outputs below `results` as the runner stores them, in `folder`."""
    files = _files(results, len(outputs), prepared.count)

    def read() -> Iterator[dict[str, NDArray[Any]]]:
        for of_sample in files:
            yield {tensor.name: _array(path, tensor) for path, tensor in zip(of_sample, outputs, strict=True)}

    names = [tensor.name for tensor in outputs]
    return predictions.write(folder / "predictions.npz", names, rows.ids(prepared.path), read())


def _files(results: Path, outputs: int, samples: int) -> list[list[Path]]:
    """Return the files of each sample, one an output, in order."""
    found: dict[int, dict[int, Path]] = {}
    for path in results.rglob("*.bin"):
        match = _OUTPUT.fullmatch(path.name)
        if match is None:
            continue
        of_sample = found.setdefault(int(match["sample"]), {})
        twice = of_sample.setdefault(int(match["number"]), path)
        if twice != path:
            raise DataError(f"{twice} and {path} are outputs of one sample", "name the folder of one inference")
    missing = [number for number in range(samples) if len(found.get(number, ())) != outputs]
    if missing:
        raise DataError(
            f"{results} has {outputs} files NUMBER_OUTPUT.bin for {samples - len(missing)} of {samples} samples; "
            f"sample {missing[0]:08d} has {len(found.get(missing[0], ()))}",
            "name the folder that the inference of all samples wrote, with its outputs as BIN",
        )
    return [[path for _, path in sorted(found[number].items())] for number in range(samples)]


def _array(path: Path, tensor: TensorSpec) -> NDArray[Any]:
    """Return the output [1, *shape] of one sample."""
    content = path.read_bytes()
    if len(content) != tensor.sample_bytes:
        raise DataError(
            f"{path} has {len(content)} bytes, and the output {tensor.name} {tensor.shown_shape} of {tensor.dtype} "
            f"has {tensor.sample_bytes}",
            "name the folder that the inference with this model wrote, with its outputs as BIN",
        )
    return np.frombuffer(content, np.dtype(tensor.dtype).newbyteorder("<")).reshape(1, *tensor.shape)


if __name__ == "__main__":
    sys.exit(main())
