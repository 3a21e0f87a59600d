"""Stage `simplify`: fold constants, fix the batch size, and apply the model's own surgery."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from runner.config import hooks, targets
from runner.config.callables import Target
from runner.core import ExportError, OnnxModel
from runner.core.lazy import np, onnx, onnxsim
from runner.data import random_inputs
from runner.graph import external_data, onnx_files, running

log = logging.getLogger(__name__)

_PROBE_SAMPLES = 2
_RELATIVE_TOLERANCE = 1e-3
"""Relative to the largest output: another order of float32 sums differs by 1e-5, a wrong graph by far more."""


@dataclass(frozen=True)
class SimplifySpec:
    """`enabled` is whether onnxsim runs.

    `batch` is the batch size to fix in the model, None to leave the batch axis unchanged.
    `surgery` are dotted names of callables ModelProto -> ModelProto, applied in order after the simplification.
    """

    enabled: bool
    batch: int | None
    surgery: tuple[str, ...]


def simplify(spec: SimplifySpec, model: OnnxModel, out: Path) -> OnnxModel:
    """Write `out`/model.onnx, checked like an export and against the original model's outputs in ONNX Runtime.

    Raises:
        ExportError: a fixed batch size would change, or the simplified model is invalid or computes something else.
        ConfigError: a surgery cannot be found. HookError: it returns no model.
    """
    if not spec.enabled and not spec.surgery:
        return model
    if model.batch is not None and spec.batch not in (None, model.batch):
        raise ExportError(
            f"{model.path} is exported for batches of {model.batch} and cannot become one for {spec.batch}",
            "set model.export.fixed_batch=false, or export anew for this batch size",
        )
    batch = spec.batch if spec.enabled and spec.batch is not None else model.batch
    feeds = random_inputs.batch_of(model.inputs, model.batch or min(batch or _PROBE_SAMPLES, _PROBE_SAMPLES))
    names = [tensor.name for tensor in model.outputs]
    expected = dict(zip(names, running.run(model.path, feeds), strict=True))

    def checked(fuse: bool) -> onnx.ModelProto:
        for author, rewritten in rewrites(spec, model, fuse):
            _check(rewritten, model, batch, feeds, expected, author)
        return rewritten

    path = out / "model.onnx"
    onnx_files.save(_fused_if_that_holds(checked) if spec.enabled else checked(True), path)
    return OnnxModel(
        path=path,
        sha256=external_data.digest(path),
        opset=model.opset,
        batch=batch,
        inputs=model.inputs,
        outputs=model.outputs,
    )


def _fused_if_that_holds(checked: Callable[[bool], onnx.ModelProto]) -> onnx.ModelProto:
    """Return what `checked` returns with fusing of nodes, else without; raise the first error if both fail."""
    try:
        return checked(True)
    except ExportError as error:
        try:
            rewritten = checked(False)
        except ExportError:
            raise error from None
        log.warning("onnxsim only folds constants here, because fusing nodes breaks the model: %s", error.message)
        return rewritten


def rewrites(spec: SimplifySpec, model: OnnxModel, fuse: bool = True) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Yield each rewriter's name and its unchecked result, in order. Without `fuse` onnxsim only folds constants.

    Raises:
        ExportError: onnxsim fails. ConfigError: a surgery cannot be found. HookError: it returns no model.
    """
    rewritten = _simplified(model, spec.batch, fuse) if spec.enabled else onnx_files.load(model.path)
    if spec.enabled:
        yield "onnxsim", rewritten
    for name in spec.surgery:
        rewritten = _operated(rewritten, name)
        yield name, rewritten


def _simplified(model: OnnxModel, batch: int | None, fuse: bool) -> onnx.ModelProto:
    fixable = batch is not None and not any(tensor.is_free for tensor in model.inputs)
    shapes = {tensor.name: [batch, *tensor.shape] for tensor in model.inputs} if fixable else None
    try:
        with _printing_to_log():
            # onnxsim's own check is off: it accepts wrong shapes, and _check does more.
            given = onnx_files.load(model.path)
            if batch is not None and not fixable:
                onnx_files.fix_batch(given, batch)
            with onnx_files.for_libraries(given) as source:
                simplified: onnx.ModelProto = onnxsim.simplify(
                    source, overwrite_input_shapes=shapes, perform_optimization=fuse
                )[0]
    except (RuntimeError, TypeError, ValueError) as error:
        raise ExportError(f"onnxsim fails on {model.path}: {error}", "set model.simplify.enabled=false") from error
    return simplified


@contextmanager
def _printing_to_log() -> Iterator[None]:
    """Redirect output of compiled code, which bypasses sys.stdout and sys.stderr, to the log."""
    descriptors = (1, 2)
    with TemporaryFile() as file:
        saved = [os.dup(descriptor) for descriptor in descriptors]
        for descriptor in descriptors:
            os.dup2(file.fileno(), descriptor)
        try:
            yield
        finally:
            for descriptor, duplicate in zip(descriptors, saved, strict=True):
                os.dup2(duplicate, descriptor)
                os.close(duplicate)
            file.seek(0)
            for line in file.read().decode(errors="replace").splitlines():
                log.debug("onnxsim: %s", line)


def _operated(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    target = Target(name)
    result = targets.call(target, model)
    return hooks.checked(result, onnx.ModelProto, targets.locate(target))


def _check(
    changed: onnx.ModelProto,
    model: OnnxModel,
    batch: int | None,
    feeds: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    author: str,
) -> None:
    """Check names, shapes and values; samples are repeated to fill the batch."""
    onnx_files.check(changed, model.inputs, list(expected), model.opset, batch)
    samples = len(next(iter(feeds.values())))
    rows = np.arange(batch or samples) % samples
    fix = "set model.simplify.enabled=false" if author == "onnxsim" else f"mend {author}, or take it out"
    try:
        actual = running.run(changed, {name: array[rows] for name, array in feeds.items()})
    except ExportError as error:
        raise ExportError(f"{author} broke {model.path}: {error.message}", fix) from error
    for (name, wanted), got in zip(expected.items(), actual, strict=True):
        difference = _difference(got, wanted[rows])
        if not difference <= _RELATIVE_TOLERANCE:
            raise ExportError(
                f"{author} changed what {model.path} computes: its output {name} {list(got.shape)} differs by "
                f"{difference:.2g} of the largest value from {list(wanted[rows].shape)} before",
                fix,
            )


def _difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """Return the largest difference relative to the largest value; infinity for other shapes or NaN positions."""
    if got.shape != wanted.shape or not np.array_equal(np.isnan(got), np.isnan(wanted)):
        return float("inf")
    got, wanted = np.nan_to_num(got.astype(np.float64)), np.nan_to_num(wanted.astype(np.float64))
    largest = float(np.abs(wanted).max(initial=0.0))
    return float(np.abs(got - wanted).max(initial=0.0)) / max(largest, float(np.finfo(np.float32).tiny))
