"""Run an ONNX file in a runtime and read its outputs or any tensor inside it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.core import DataError, ToolError, check_regular
from runner.core.lazy import NDArray, np, onnx, onnxruntime
from runner.debug import graphs
from runner.debug.graphs import Graph
from runner.graph import onnx_files, running

UNOPTIMISED, FUSED, OPTIMISED, REFERENCE = "onnxruntime-unoptimised", "onnxruntime-fused", "onnxruntime", "reference"
RUNTIMES = {
    UNOPTIMISED: "ONNX Runtime, node by node",
    FUSED: "ONNX Runtime, all optimisations but those of layout",
    OPTIMISED: "ONNX Runtime, all optimisations",
    REFERENCE: "onnx.reference",
}
TENSORS_AT_A_TIME = 64
BYTES_AT_A_TIME = 256 << 20
"""How much of each model is fetched at a time, unless a single tensor takes more."""

_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
_WEIGHTS_WRITTEN_TO = "session.optimized_model_external_initializers_file_name"


@dataclass(frozen=True)
class Model:
    """An ONNX file as a runtime runs it.

    `proto` is the graph that runs, already optimised if the runtime optimises. Large weights are not in it but in
    external files in `folder`, so that its many copies, each exposing other tensors, stay small.
    """

    path: Path
    runtime: str
    proto: onnx.ModelProto = field(repr=False)
    folder: Path
    graph: Graph = field(repr=False)

    def outputs(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the model's outputs by name.

        Raises:
            ToolError: the runtime rejects the model or the inputs.
        """
        return self.values(self.graph.outputs, feeds)

    def values(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return tensors by name, without those that are not numeric arrays.

        Raises:
            ToolError: the runtime rejects the model or the inputs.
        """
        whole = tuple(names) == self.graph.outputs
        proto = self.proto if whole else graphs.exposing(self.proto, names)
        values = run(proto, self.folder, names, feeds, self.runtime, str(self.path))
        return {name: array for name, array in values.items() if is_numeric(array)}


def read(path: Path) -> onnx.ModelProto:
    """Read an ONNX file without its external weights.

    Raises:
        DataError: no such file, or no ONNX model. ExportError: its external weights lie outside of its folder.
    """
    from google.protobuf.message import DecodeError

    try:
        check_regular(path)
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}", "name an ONNX file") from error
    except (DecodeError, ValueError) as error:
        raise DataError(f"{path} is no ONNX model: {error}", "name an ONNX file") from error
    if not model.graph.node or not model.graph.output:
        raise DataError(f"{path} is no ONNX model: it has no nodes or no outputs", "name an ONNX file")
    onnx_files.check_weights_beside(model, path)
    return model


def open_model(path: Path, runtime: str, work: Path) -> Model:
    """Open an ONNX file; `work` is a folder for copies, which must exist as long as the model is used.

    Raises:
        DataError: no such file, or no ONNX model. ToolError: the runtime rejects it.
    """
    proto = read(path)
    own = Path(tempfile.mkdtemp(dir=work))
    copy = own / "model.onnx"
    if runtime in (FUSED, OPTIMISED):
        _write_optimised(path, runtime, copy)
        proto, folder = read(copy), own
    elif _has_external_weights(proto):
        folder = path.absolute().parent
    else:
        proto, folder = _without_weights(proto, copy), own
    return Model(path, runtime, proto, folder, graphs.graph_of(proto))


def chunks(names: Sequence[str], sizes_bytes: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield the names in chunks that fit in memory; a tensor of unknown size counts as the largest known one."""
    unknown = max(sizes_bytes.values(), default=BYTES_AT_A_TIME // TENSORS_AT_A_TIME)
    chunk: list[str] = []
    filled = 0
    for name in names:
        size = sizes_bytes.get(name, unknown)
        if chunk and (len(chunk) == TENSORS_AT_A_TIME or filled + size > BYTES_AT_A_TIME):
            yield chunk
            chunk, filled = [], 0
        chunk.append(name)
        filled += size
    if chunk:
        yield chunk


def run(
    proto: onnx.ModelProto,
    folder: Path,
    names: Sequence[str],
    feeds: Mapping[str, NDArray[Any]],
    runtime: str,
    label: str,
) -> dict[str, NDArray[Any]]:
    """Run a model whose external weights lie in `folder` and return its outputs; errors call it `label`.

    The graph is run as it is, node by node: `open_model` has optimised it if the runtime does.

    Raises:
        ToolError: the runtime rejects the model or the inputs.
    """
    try:
        if runtime == REFERENCE:
            return dict(zip(names, _in_reference(proto, folder, names, feeds), strict=True))
        return dict(zip(names, _in_onnxruntime(proto, folder, names, feeds), strict=True))
    except Exception as error:  # ONNX Runtime's exceptions share no base class, the reference may raise any
        shapes = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in feeds.items())
        raise ToolError(
            f"{RUNTIMES[runtime]} cannot run {label} on {shapes}: {error}",
            "give other inputs with --input=FILE.npz, or another runtime with --runtime",
        ) from error


def _in_onnxruntime(
    proto: onnx.ModelProto, folder: Path, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]
) -> list[NDArray[Any]]:
    options = _options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry(_WEIGHTS_FOLDER, str(folder))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(list(names), dict(feeds)))


def _in_reference(
    proto: onnx.ModelProto, folder: Path, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]
) -> list[NDArray[Any]]:
    from onnx.reference import ReferenceEvaluator

    whole = onnx.ModelProto()
    whole.CopyFrom(proto)
    onnx.external_data_helper.load_external_data_for_model(whole, str(folder))
    return list(ReferenceEvaluator(whole).run(list(names), dict(feeds)))


def _write_optimised(path: Path, runtime: str, optimised: Path) -> None:
    levels = onnxruntime.GraphOptimizationLevel
    options = _options()
    options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED if runtime == FUSED else levels.ORT_ENABLE_ALL
    options.optimized_model_filepath = str(optimised)
    options.add_session_config_entry(_WEIGHTS_WRITTEN_TO, f"{optimised.name}.data")
    try:
        onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=running.MISTAKEN_OPTIMIZERS,
        )
    except Exception as error:  # its exceptions share no base class
        raise ToolError(
            f"{RUNTIMES[runtime]} cannot load {path}: {error}", f"choose --runtime={UNOPTIMISED} or {REFERENCE}"
        ) from error


def _without_weights(proto: onnx.ModelProto, copy: Path) -> onnx.ModelProto:
    onnx.save(proto, copy, save_as_external_data=True, location=f"{copy.name}.data")
    return onnx.load(copy, load_external_data=False)


def _has_external_weights(proto: onnx.ModelProto) -> bool:
    return any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in proto.graph.initializer)


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return options


def is_numeric(array: Any) -> bool:
    """Whether a value is an array, or one element, of numbers or booleans."""
    return isinstance(array, (np.ndarray, np.generic)) and (
        np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_
    )
