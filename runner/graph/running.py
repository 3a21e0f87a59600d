"""Running ONNX models in ONNX Runtime, on the CPU and without optimisations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from runner.core import FREE, ExportError, TensorSpec
from runner.core.lazy import np, onnx, onnxruntime
from runner.graph import onnx_files

MISTAKEN_OPTIMIZERS = ["Pad_Fusion"]
"""Disabled ONNX Runtime optimizers. Pad_Fusion merges a Pad into the following MaxPool whatever the padding value, but
MaxPool pads with minus infinity (seen in 1.31; github.com/onnx/optimizer/pull/318 is about the same bug elsewhere).
Pads before convolutions are merged by onnxsim."""

_SIZED_BY_VALUES = frozenset({"NonMaxSuppression", "NonZero", "Compress", "Unique"})
"""Operators whose outputs' sizes depend on the values of their inputs."""

Run = Callable[[Mapping[str, "np.ndarray"]], "list[np.ndarray]"]
"""Inputs by name -> outputs in order."""


def outputs_of(path: Path, names: Sequence[str], probes: Sequence[Mapping[str, np.ndarray]]) -> tuple[TensorSpec, ...]:
    """Return the outputs that ONNX Runtime computes from each of the inputs [batch, ...] in `probes`.

    This reveals sizes that are hard-coded in the graph. Axes that differ between the probes are FREE, and so are those
    of unsaid size in a graph that suppresses or selects: how many boxes are left, no probe tells.

    Raises:
        ExportError: the model cannot be run, or an output's first axis is not the batch.
    """
    batch = len(next(iter(probes[0].values())))
    specs = []
    unsaid = _unsaid_axes(path)
    loaded = session(path, probes[0])
    for name, arrays in zip(names, zip(*map(loaded, probes), strict=True), strict=True):
        shapes = [array.shape for array in arrays]
        if any(len(shape) == 0 or shape[0] != batch or len(shape) != len(shapes[0]) for shape in shapes):
            raise ExportError(
                f"for {batch} samples the output {name} of the ONNX model is {list(shapes[-1])}",
                "make the network keep its first axis for the batch, or set model.export.fixed_batch=true where it is "
                "made for one batch size; an ONNX file from outside whose outputs lack this axis, as boxes [n, 4], "
                "runs with that and batch=1",
            )
        common = [
            sizes[0] if len(set(sizes)) == 1 and (name, axis) not in unsaid else FREE
            for axis, sizes in enumerate(zip(*shapes, strict=True))
        ]
        specs.append(TensorSpec(name, str(arrays[0].dtype), tuple(common[1:])))
    return tuple(specs)


def _unsaid_axes(path: Path) -> frozenset[tuple[str, int]]:
    """Return outputs and their axes whose sizes may depend on values: the graph has such operators and says no size."""
    graph = onnx_files.load_without_data(path).graph
    if not any(node.op_type in _SIZED_BY_VALUES for node in graph.node):
        return frozenset()
    return frozenset(
        (output.name, axis)
        for output in graph.output
        for axis, size in enumerate(onnx_files.axes_of(output))
        if not isinstance(size, int)
    )


def run(model: onnx.ModelProto | Path, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Run a model once, as `session` does.

    Raises:
        ExportError: ONNX Runtime rejects the model or the inputs.
    """
    return session(model, feeds)(feeds)


def session(model: onnx.ModelProto | Path, feeds: Mapping[str, np.ndarray] | None = None) -> Run:
    """Load a model in ONNX Runtime on the CPU without optimisations; return what runs it.

    It raises ExportError where ONNX Runtime rejects the inputs.

    Raises:
        ExportError: ONNX Runtime rejects the model; `feeds` are named then.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    if isinstance(model, Path):
        onnx_files.load_without_data(model)  # checks the weights' location; ONNX Runtime would read any file
    with onnx_files.for_libraries(model) as given, _as_export_error(feeds or {}):
        source = given if isinstance(given, str) else given.SerializeToString()
        loaded = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    def run_it(given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        with _as_export_error(given):
            return list(loaded.run(None, dict(given)))

    return run_it


@contextmanager
def _as_export_error(feeds: Mapping[str, np.ndarray]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the binding has an exception class for each status, without a common base
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feeds.items())
        raise ExportError(
            f"ONNX Runtime cannot run the ONNX model on {shapes}: {error}",
            "set model.export.fixed_batch=true if it runs with another batch size, or try another model.export.opset",
        ) from error
