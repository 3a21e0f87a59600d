"""ais_bench's InferSession in this process.

Its interface is that of ais_bench/infer/interface.py in 0.0.2 (github.com/Ascend/tools at 9d6da90) and in msit's later
versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runner.core import CompiledModel, Placement, Timing, ToolError
from runner.core.lazy import NDArray, np
from runner.data import Batch
from runner.measure import MeasuringLimits, repeat
from runner.tools.ascend import _sample_files as sample_files
from runner.tools.ascend import _shapes as shapes


def infer(model: CompiledModel, placement: Placement, batches: Iterable[Batch]) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the outputs of each batch by name [batch, ...], including padding.

    Raises:
        ToolError: the session fails, or returns another number of outputs.
    """
    session = _session(model, placement)
    chosen = _choose_gear(session, model)
    for batch in batches:
        feeds = [sample_files.stored(batch.inputs, tensor, model.batch) for tensor in model.inputs]
        arrays = _call(session, feeds, chosen)
        if len(arrays) != len(model.outputs):
            raise ToolError(
                f"infer: the model declares {len(model.outputs)} outputs, InferSession returns {len(arrays)}",
                "correct model.outputs, in the order in which the network returns them",
            )
        yield {
            tensor.name: np.stack(
                [sample_files.decoded(row.tobytes(), tensor, "a sample") for row in _rows(array, model.batch)]
            )
            for tensor, array in zip(model.outputs, arrays, strict=True)
        }


def measure(
    model: CompiledModel,
    placement: Placement,
    inputs: Mapping[str, NDArray[Any]],
    limits: MeasuringLimits,
    version: str,
) -> Timing:
    """Measure calls on one batch of `inputs`; `version` is named in the source of the figures.

    Raises:
        ToolError: the session fails, or does not report the time of each call.
    """
    session = _session(model, placement)
    chosen = _choose_gear(session, model)
    feeds = [sample_files.stored(inputs, tensor, model.batch) for tensor in model.inputs]
    measured = repeat(lambda: _call(session, feeds, chosen), limits)
    calls = len(measured.latencies_ms)
    latencies_ms = latencies_of(session)[-calls:]
    if len(latencies_ms) != calls:
        raise ToolError(
            f"{calls} calls were made, InferSession tells {len(latencies_ms)} times",
            "this version of ais_bench keeps its times elsewhere: use tool.mode=cli",
        )
    source = f"{version} InferSession, host clock around the device call (exec_time_list)"
    return Timing(
        batch=model.batch,
        latencies_ms=latencies_ms,
        warmup=measured.warmup,
        source=source,
        reasons=measured.reasons,
        settled_after=measured.settled_after,
    )


def _session(model: CompiledModel, placement: Placement) -> Any:
    try:
        from ais_bench.infer.interface import InferSession

        return InferSession(placement.devices[0], str(model.path.resolve()))
    except Exception as error:  # aclruntime raises RuntimeError, a broken installation ImportError or OSError
        raise ToolError(
            f"InferSession cannot load {model.path} on device {placement.devices[0]}: {error}",
            "see what aclruntime printed; npu-smi info lists the devices, force=[compile] redoes the OM",
        ) from error


def _choose_gear(session: Any, model: CompiledModel) -> dict[str, Any]:
    """Choose the batch size and shapes of the calls; return the arguments of `infer` that name them.

    0.0.2 at 9d6da90 keeps the size that was set and does not know dymbatch and dymhw, later versions set it from what
    is fed.
    """
    choice = shapes.choice_of(model)
    if not choice:
        return {"mode": "static"}
    mode = choice[0].removeprefix("--").lower()
    if mode == "dymshape":
        return {"mode": mode, "custom_sizes": shapes.output_bytes(model)}
    if mode == "dymbatch":
        _set(session, "set_dynamic_batchsize", (model.batch,))
    elif mode == "dymhw":
        _set(session, "set_dynamic_hw", model.inputs[0].shape[1:])
    return {"mode": mode}


def _set(session: Any, method: str, sizes: tuple[int, ...]) -> None:
    try:
        getattr(session, method)(*sizes)
    except Exception as error:  # the C++ backend raises any exception
        raise ToolError(f"InferSession.{method} failed: {error}", "see what aclruntime printed") from error


def _call(session: Any, feeds: list[NDArray[Any]], chosen: Mapping[str, Any]) -> list[NDArray[Any]]:
    try:
        return [np.asarray(array) for array in session.infer(feeds, **chosen)]
    except Exception as error:  # the C++ backend raises any exception
        raise ToolError(f"InferSession.infer failed: {error}", "see what aclruntime printed") from error


def _rows(array: NDArray[Any], batch: int) -> list[NDArray[Any]]:
    if array.ndim == 0 or array.shape[0] % batch:
        raise ToolError(f"InferSession returns an output {list(array.shape)} for batch {batch}", "is its first axis N?")
    return np.split(array, batch)


def latencies_of(session: Any) -> tuple[float, ...]:
    """Return the times of all calls in ms, from `sumary()` (sic), or from the (start, end) of the later `summary()`."""
    summary = session.summary() if hasattr(session, "summary") else session.sumary()
    return tuple(
        float(entry[1] - entry[0]) if isinstance(entry, tuple | list) else float(entry)
        for entry in summary.exec_time_list
    )
