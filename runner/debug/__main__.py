"""`python -m runner.debug model=NAME`, or `--onnx A B`: find where outputs diverge, step by step and layer by layer."""

from __future__ import annotations

import argparse
import logging
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from runner import cli
from runner.config import groups, hooks
from runner.core import ComparisonError, ConfigError, RunnerError, StoreError, write_atomically
from runner.core.lazy import NDArray
from runner.debug import closeness, runtimes
from runner.debug import inputs as inputs_of
from runner.debug.closeness import Tolerance
from runner.debug.runtimes import Model

FOLDER = Path("outputs/debug")
REPORT, INPUTS, LOG = "report.json", "inputs.npz", "run.log"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, and write report.json; return 0 if all agree, 2 if anything diverges, 1 on an error."""
    return cli.exit_code_of(lambda: _debug(_parser().parse_intermixed_args(arguments)))


def _debug(options: argparse.Namespace) -> int:
    _check(options)
    tolerance = Tolerance(options.rtol, options.atol)
    if options.dump:
        return _dump(options)
    return _onnx(options, tolerance) if options.onnx else _run(options, tolerance)


def _parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="python -m runner.debug",
        description="Where outputs diverge: PyTorch, exported, simplified and compiled model on the same input, and"
        " every layer of two ONNX models. Exits 0 all agree, 2 something diverges, 1 an error.",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="a run, as python -m runner takes it: model=NAME weights=random soc=NAME batch=N stages=[simplify] ...",
    )
    parser.add_argument(
        "--onnx", nargs="+", type=Path, metavar="FILE", help="two ONNX files instead, or one in two runtimes"
    )
    parser.add_argument(
        "--runtime",
        choices=list(runtimes.RUNTIMES),
        default=runtimes.UNOPTIMISED,
        help=f"what runs the second of --onnx [{runtimes.UNOPTIMISED}, which always runs the first]",
    )
    parser.add_argument(
        "--dump",
        type=Path,
        metavar="DIR",
        help="a card's dumps, binary or converted to .npy, against the one --onnx on the same --input=FILE.npz",
    )
    parser.add_argument(
        "--input",
        default=inputs_of.RANDOM,
        metavar="random|real|FILE.npz",
        help="one batch: seeded random [random], the first prepared samples, or arrays by input name",
    )
    parser.add_argument("--layers", action="store_true", help="compare layers even where no output diverges")
    rule = "a tensor agrees where the largest difference is at most ATOL + RTOL * its largest value"
    parser.add_argument("--rtol", type=float, default=closeness.RTOL, help=f"{rule} [{closeness.RTOL:g}]")
    parser.add_argument("--atol", type=float, default=closeness.ATOL, help=f"the same [{closeness.ATOL:g}]")
    parser.add_argument(*groups.CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours, as the runner takes it")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"where to write [{FOLDER}/NAME/TIME]")
    return parser


def _check(options: argparse.Namespace) -> None:
    for name in ("rtol", "atol"):
        if not 0 <= getattr(options, name) < math.inf:
            raise ConfigError(f"--{name} is {getattr(options, name)}", "give a number of at least 0")
    if bool(options.onnx) == bool(options.overrides):
        raise ConfigError(
            "give a run or ONNX files" + (", not both" if options.onnx else ""),
            "python -m runner.debug model=dcgan weights=random, or python -m runner.debug --onnx A.onnx B.onnx",
        )
    if options.dump is not None:
        _check_dump(options)
        return
    if options.onnx is None:
        if options.runtime != runtimes.UNOPTIMISED:
            raise ConfigError("--runtime goes with --onnx", "choose the tool of a run with tool=NAME soc=NAME")
        return
    if len(options.onnx) > 2 or (len(options.onnx) == 1 and options.runtime == runtimes.UNOPTIMISED):
        raise ConfigError(
            f"--onnx names {len(options.onnx)} file{'s' * (len(options.onnx) > 1)}",
            "give two, or one and --runtime for the second runtime",
        )
    if options.input == inputs_of.REAL:
        raise ConfigError("--input=real needs a run's samples", "give --input=FILE.npz, or a run instead of --onnx")


def _check_dump(options: argparse.Namespace) -> None:
    if len(options.onnx or ()) != 1 or options.input in (inputs_of.RANDOM, inputs_of.REAL):
        raise ConfigError(
            "--dump needs the ONNX model that was compiled, and what the card was given",
            "python -m runner.debug --onnx MODEL.onnx --input=FILE.npz --dump=DIR",
        )
    if options.runtime != runtimes.UNOPTIMISED:
        raise ConfigError("--runtime is of a second model, and --dump is one", "leave --runtime out")


def _run(options: argparse.Namespace, tolerance: Tolerance) -> int:
    """Compare the steps of a run."""
    from runner.config import loading
    from runner.config.compose import compose
    from runner.debug.steps import Steps

    own = groups.config_dir_arguments(options.config_dir)
    config = loading.load(compose([*own, *options.overrides]))
    folder = _folder(options.out, config.model.name)
    with _logged(folder), _working(folder) as work:
        steps = Steps(config, folder, work, options.input, tolerance)
        given = steps.inputs()
        title = f"{config.model.name} on {config.soc.name} with {config.tool.name}, batch {config.batch.size}"
        return _compare(title, lambda: steps.each(given), given.network, options.layers, tolerance, folder)


def _onnx(options: argparse.Namespace, tolerance: Tolerance) -> int:
    """Compare two ONNX files, or one in two runtimes."""
    from runner.debug.steps import Step

    paths: list[Path] = [options.onnx[0], options.onnx[-1]]
    kinds = runtimes.UNOPTIMISED, options.runtime
    for path in paths:
        runtimes.read(path)  # before a folder is made
    folder = _folder(options.out, paths[0].stem)
    with _logged(folder), _working(folder) as work:
        models = [runtimes.open_model(path, kind, work) for path, kind in zip(paths, kinds, strict=True)]
        feeds = _feeds(models, options.input)

        def steps() -> Iterator[Step]:
            for name, model in zip("ab", models, strict=True):
                by = f"{model.path} in {runtimes.RUNTIMES[model.runtime]}"
                yield Step(name, by, model.outputs(feeds), tolerance, model)

        title = " and ".join(dict.fromkeys(path.name for path in paths))
        return _compare(title, steps, feeds, True, tolerance, folder)


def _dump(options: argparse.Namespace) -> int:
    """Compare the dumps of a card with an ONNX file."""
    from runner.debug import dumps, findings, graphs, show

    (path,) = options.onnx
    runtimes.read(path)  # before a folder is made
    folder = _folder(options.out, path.stem)
    with _logged(folder), _working(folder) as work:
        model = runtimes.open_model(path, runtimes.UNOPTIMISED, work)
        feeds = inputs_of.of_file(Path(options.input), graphs.input_specs(model.proto))
        compared = dumps.compare(model, options.dump, feeds)
        report = _write_report(folder, findings.dumps_as_report(compared, path, options.dump, Path(options.input)))
        with cli.forgiving():
            show.dumps(compared, path, options.dump, report)
    return findings.DIVERGE if compared.diverging else findings.AGREE


def _feeds(models: Sequence[Model], source: str) -> dict[str, NDArray[Any]]:
    """Return one set of inputs for both models.

    Raises:
        ComparisonError: their inputs or outputs differ. DataError: `source` cannot be used.
    """
    from runner.debug import graphs

    first, second = (graphs.input_specs(model.proto) for model in models)
    inputs_a, inputs_b = (
        [f"{name} {kind} {len(shape)}-d" for name, (kind, shape) in each.items()] for each in (first, second)
    )
    if set(inputs_a) != set(inputs_b):
        raise ComparisonError(
            f"{models[0].path} takes the inputs {', '.join(inputs_a)}; {models[1].path} takes {', '.join(inputs_b)}",
            "compare models that take the same inputs",
        )
    outputs = [set(model.graph.outputs) for model in models]
    if outputs[0] != outputs[1]:
        raise ComparisonError(
            f"{models[0].path} gives the outputs {', '.join(models[0].graph.outputs)};"
            f" {models[1].path} gives {', '.join(models[1].graph.outputs)}",
            "outputs are compared by exact name: rename those of one",
        )
    wanted = {
        name: (
            kind,
            tuple(size if size is not None else twin for size, twin in zip(shape, second[name][1], strict=True)),
        )
        for name, (kind, shape) in first.items()
    }
    if source == inputs_of.RANDOM:
        return inputs_of.random_arrays(wanted)
    return inputs_of.of_file(Path(source), wanted)


def _compare(
    title: str,
    steps: Callable[[], Iterator[Any]],
    feeds: Mapping[str, NDArray[Any]],
    all_layers: bool,
    tolerance: Tolerance,
    folder: Path,
) -> int:
    """Compare the steps, and the layers of those that diverge; write and print the findings."""
    from runner.debug import findings, replay, show

    replay.save_arrays(folder / INPUTS, feeds)
    comparisons, error = [], None
    try:
        for comparison in findings.in_turn(steps()):
            comparisons.append(comparison)
    except RunnerError as raised:
        if not comparisons:
            raise
        error = raised
    layers = []
    for comparison in comparisons:
        if comparison.diverges or all_layers:
            subfolder = folder if len(comparisons) == 1 else folder / comparison.step.name.replace(": ", "-")
            compared = findings.look_into(comparison, feeds, tolerance, subfolder)
            layers += [compared] if compared else []
    results = findings.Findings(title, folder / INPUTS, comparisons, layers, tolerance, str(error) if error else None)
    report = _write_report(folder, findings.as_report(results))
    with cli.forgiving():
        show.findings(results, report)
    return results.exit_code


def _write_report(folder: Path, content: Mapping[str, Any]) -> Path:
    path = folder / REPORT
    write_atomically(path, msgspec.json.format(msgspec.json.encode(content), indent=1))
    return path


def _folder(out: Path | None, name: str) -> Path:
    folder = (out or FOLDER / name / datetime.now().strftime("%Y-%m-%d_%H-%M-%S.%f")).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror or error}", "choose another folder with --out=DIR") from error
    return folder


@contextmanager
def _working(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder for copies of models, which may be large."""
    with tempfile.TemporaryDirectory(prefix=".work-", dir=folder) as work:
        yield Path(work).absolute()


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """Log to a file in `folder`, as a run does."""
    root = logging.getLogger()
    handler = logging.FileHandler(folder / LOG)
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"))
    before = root.level
    root.addHandler(handler)
    root.setLevel(min(before, logging.INFO))
    try:
        with hooks.watched():
            yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
        handler.close()


if __name__ == "__main__":
    sys.exit(main())
