"""An ONNX file in a runtime: its outputs, and every tensor inside it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runner import onnx_files
from runner.debug import graphs
from runner.debug.graphs import Graph
from runner.errors import DataError, ToolError

if TYPE_CHECKING:
    import onnx

UNOPTIMISED, FUSED, OPTIMISED, REFERENCE = "onnxruntime-unoptimised", "onnxruntime-fused", "onnxruntime", "reference"
RUNTIMES = {
    UNOPTIMISED: "ONNX Runtime, node by node",
    FUSED: "ONNX Runtime, all optimisations but those of layout",
    OPTIMISED: "ONNX Runtime, all optimisations",
    REFERENCE: "onnx.reference",
}
TENSORS_AT_A_TIME = 64
BYTES_AT_A_TIME = 256 << 20
"""What is asked for at a time of each model, unless a single tensor takes more."""

_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
_WEIGHTS_WRITTEN_TO = "session.optimized_model_external_initializers_file_name"


@dataclass(frozen=True)
class Model:
    """An ONNX file as a runtime runs it.

    `proto` is the graph that is really run, an optimised one where the runtime optimises; large weights are not in it,
    but in files in `folder`, so that the many copies of it that expose other tensors are small.
    """

    path: Path
    runtime: str
    proto: onnx.ModelProto = field(repr=False)
    folder: Path
    graph: Graph = field(repr=False)

    def outputs(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Its outputs by name.

        Raises:
            ToolError: the runtime refuses the model or the inputs.
        """
        return self.values(self.graph.outputs, feeds)

    def values(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Tensors by name; those that are no arrays of numbers are left out.

        Raises:
            ToolError: the runtime refuses the model or the inputs.
        """
        whole = tuple(names) == self.graph.outputs
        proto = self.proto if whole else graphs.exposing(self.proto, names)
        found = run(proto, self.folder, names, feeds, self.runtime, str(self.path))
        return {name: array for name, array in found.items() if _is_numeric(array)}


def read(path: Path) -> onnx.ModelProto:
    """Read an ONNX file, without the weights that lie in files of their own.

    Raises:
        DataError: no such file, or no ONNX model. ExportError: it wants weights from outside of its folder.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
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
    """Open an ONNX file; `work` is a folder for copies, which the model needs as long as it is used.

    Raises:
        DataError: no such file, or no ONNX model. ToolError: the runtime refuses it.
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
    """The names in turn, so many at a time that memory holds them; one of unknown size counts as the largest known."""
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
    told: str,
) -> dict[str, NDArray[Any]]:
    """Outputs of a model whose external weights lie in `folder`; `told` is what errors call it.

    Its graph is run as it is, node by node: what optimises has optimised before (`open_model`).

    Raises:
        ToolError: the runtime refuses the model or the inputs.
    """
    try:
        if runtime == REFERENCE:
            return dict(zip(names, _in_reference(proto, folder, names, feeds), strict=True))
        return dict(zip(names, _in_onnxruntime(proto, folder, names, feeds), strict=True))
    except Exception as error:  # ONNX Runtime's exceptions share no base class, the reference's are any
        shapes = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in feeds.items())
        raise ToolError(
            f"{RUNTIMES[runtime]} cannot run {told} on {shapes}: {error}",
            "give other inputs with --input=FILE.npz, or another runtime with --runtime",
        ) from error


def _in_onnxruntime(
    proto: onnx.ModelProto, folder: Path, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]
) -> list[NDArray[Any]]:
    import onnxruntime

    options = _options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry(_WEIGHTS_FOLDER, str(folder))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(list(names), dict(feeds)))


def _in_reference(
    proto: onnx.ModelProto, folder: Path, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]
) -> list[NDArray[Any]]:
    import onnx
    from onnx.reference import ReferenceEvaluator

    whole = onnx.ModelProto()
    whole.CopyFrom(proto)
    onnx.external_data_helper.load_external_data_for_model(whole, str(folder))
    return list(ReferenceEvaluator(whole).run(list(names), dict(feeds)))


def _write_optimised(path: Path, runtime: str, optimised: Path) -> None:
    import onnxruntime

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
            disabled_optimizers=onnx_files.MISTAKEN_OPTIMIZERS,
        )
    except Exception as error:  # its exceptions share no base class
        raise ToolError(
            f"{RUNTIMES[runtime]} cannot load {path}: {error}", f"choose --runtime={UNOPTIMISED} or {REFERENCE}"
        ) from error


def _without_weights(proto: onnx.ModelProto, copy: Path) -> onnx.ModelProto:
    import onnx

    onnx.save(proto, copy, save_as_external_data=True, location=f"{copy.name}.data")
    return onnx.load(copy, load_external_data=False)


def _has_external_weights(proto: onnx.ModelProto) -> bool:
    import onnx

    return any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in proto.graph.initializer)


def _options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return options


def _is_numeric(array: Any) -> bool:
    return isinstance(array, (np.ndarray, np.generic)) and (
        np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_
    )
