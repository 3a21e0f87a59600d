"""Every parser of what a foreign program prints or writes: an answer, or a typed error."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import results
from runner.core import CompiledModel, Finished, Placement, RunnerError, TensorSpec, ToolError, process
from runner.tools import CompileRequest, command_line
from runner.tools.ascend import Atc, _benchmark_files, _sample_files, _summary, npu_smi
from runner.tools.ascend._sample_files import Chunk
from runner.tools.tensorrt import run
from tests.fuzz.values import damaged, mixed, values

pytestmark = pytest.mark.fuzz

SUMMARY = json.dumps(
    {
        "filesinfo": {"0": {"infiles": ["in/0/00000000.bin"], "outfiles": ["out/00000000_0.bin"]}},
        "NPU_compute_time": {"min": 1.0, "max": 2.0, "mean": 1.5, "median": 1.5, "percentile(99%)": 2.0, "count": 2},
        "npu_compute_time_list": [1.0, 2.0],
        "throughput": 666.6,
    }
).encode()
TRTEXEC_LOG = b"""[I] Warmup completed 12 queries over 200 ms
[I] Timing trace has 345 queries over 3.0 s
[I] GPU Compute Time: min = 1.1 ms, max = 2.2 ms, mean = 1.5 ms, median = 1.4 ms
[I] GPU Compute
[I] mean: 1.5 ms (end to end 2 ms)
"""
TRTEXEC_TIMES = b'[{"startComputeMs": 1.0, "computeMs": 0.5}, {"startComputeMs": 300.5, "computeMs": 0.25}]'
TRTEXEC_OUTPUT = b'[{"name": "y", "dimensions": "2x2", "values": [1.0, nan, -inf, 4.0]}]'
PERF = b"[data] x\n[infer] Interface throughputRate: 123.4 moduleLantency: 2\nave_throughputRate = 5.5samples/s\n"
NPU_SMI = b"| 0       310P3     | OK              | 15.8         42                0    / 0              |\n"
ATC_LOG = b"ATC run failed, Please check the detail log\nE10016: Opname [x] specified in [--input_shape] is not found\n"
RESULT = json.dumps(
    {"schema": 1, "status": "ok", "model": "m", "soc": "cpu", "tool": "t", "batch": 1, "accuracy": {"top1": 1.0}}
).encode()
MODEL = CompiledModel(
    path=Path("m.engine"),
    sha256="digest",
    soc="t4",
    batch=2,
    inputs=(TensorSpec("x", "float32", (2,)),),
    outputs=(TensorSpec("y", "float32", (2,)),),
)


def texts(example: bytes) -> st.SearchStrategy[str]:
    """What a program printed, read as its adapter reads it."""
    return st.one_of(damaged(example), st.binary(max_size=200)).map(lambda content: content.decode(errors="replace"))


def finite(example: bytes) -> Any:
    """The JSON of an example, zeros for the numbers that JSON has not."""
    return json.loads(example.replace(b"-inf", b"0").replace(b"nan", b"0"))


def contents(example: bytes) -> st.SearchStrategy[bytes]:
    """A file that a program wrote: damaged, any bytes, or any JSON."""
    any_json = st.one_of(values, st.just(finite(example)))
    return st.one_of(damaged(example), st.binary(max_size=200), any_json.map(lambda value: json.dumps(value).encode()))


@given(content=st.one_of(contents(SUMMARY), mixed(json.loads(SUMMARY))))
@settings(max_examples=150)
def test_summaries(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x_summary.json"
    path.write_bytes(content)
    try:
        told = _summary.measured(path)
        _summary.outputs_by_input([told])
        timing = _summary.timing_of(summaries=[told], batch=2, warmup=1, source="source", reasons=())
        assert _summary.calls_of(told, 3) >= 0
        assert timing.mean_ms is None or timing.mean_ms > 0
    except RunnerError:
        pass


@given(text=texts(TRTEXEC_LOG))
@settings(max_examples=100)
def test_trtexec_s_log(text: str) -> None:
    try:
        report = run.parse_log(text)
        assert report.mean_ms > 0
        assert math.isfinite(report.mean_ms)
    except RunnerError:
        pass


@given(content=st.one_of(contents(TRTEXEC_TIMES), mixed(json.loads(TRTEXEC_TIMES))))
@settings(max_examples=100)
def test_trtexec_s_times(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "times.json").write_bytes(content)
    times = run.read_times(tmp_path / "times.json", 200)
    assert times is None or all(math.isfinite(time) and time >= 0 for time in times)


@given(content=st.one_of(damaged(TRTEXEC_OUTPUT), mixed(finite(TRTEXEC_OUTPUT))))
@settings(max_examples=100)
def test_trtexec_s_outputs(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "output.json").write_bytes(content)
    try:
        found = run.read_outputs(tmp_path / "output.json", MODEL)
        assert found["y"].shape[0] == 2
    except RunnerError:
        pass


@given(text=texts(PERF))
@settings(max_examples=100)
def test_benchmark_s_perf_files(text: str) -> None:
    for parse in (_benchmark_files.interface_rate, _benchmark_files.pure_rate):
        try:
            rate = parse(text)
            assert rate > 0
            assert math.isfinite(rate)
        except RunnerError:
            pass


@given(text=st.one_of(texts(NPU_SMI), texts(ATC_LOG)))
@settings(max_examples=100)
def test_what_npu_smi_and_atc_print(text: str) -> None:
    for chip in npu_smi.parsed(text):
        assert chip.name
    finished = Finished(("atc",), 1, 0.1, Path("atc.log"), text)
    assert command_line.failed(finished, "atc failed").message


@given(text=texts(ATC_LOG), returncode=st.sampled_from([0, 1, 9, 137]))
@settings(max_examples=50)
def test_what_atc_prints_when_it_fails(
    text: str, returncode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 2])
    graph = onnx.helper.make_graph([], "g", [name], [name])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "m.onnx")
    request = CompileRequest(
        model=tmp_path / "m.onnx",
        inputs=MODEL.inputs,
        batch=2,
        is_static=False,
        placement=Placement(soc="310P3", kind="ascend", devices=(0,)),
        flags={},
    )
    (tmp_path / "atc.log").write_text(text, errors="replace")
    finished = Finished(("atc",), returncode, 0.1, tmp_path / "atc.log", text)
    monkeypatch.setattr(process, "found", lambda program, environment=None: Path(program))
    monkeypatch.setattr(process, "run", lambda *arguments, **options: finished)
    with pytest.raises(ToolError, match=r"atc failed|left no \.om") as error:
        Atc().compile(request, tmp_path / "made")
    assert error.value.fix


@given(
    content=st.binary(max_size=40),
    shape=st.lists(st.integers(1, 4), max_size=3),
    dtype=st.sampled_from(["float32", "int64", "uint8", "float16", "bool"]),
)
@settings(max_examples=100)
def test_output_files(content: bytes, shape: list[int], dtype: str) -> None:
    tensor = TensorSpec("y", dtype, tuple(shape))
    with suppress(RunnerError):
        assert _sample_files.decoded(content, tensor, "a").shape == tensor.shape


@given(
    entries=st.dictionaries(
        st.sampled_from(["0.bin", "1.bin", "x"]), st.lists(st.sampled_from(["a", "b", "nowhere"]), max_size=3)
    )
)
@settings(max_examples=50)
def test_outputs_of_samples(entries: dict[str, list[str]], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(np.zeros(2, np.float32).tobytes())
    chunk = Chunk(number=0, folders=(tmp_path,), names=("0.bin", "1.bin"), batches=1, rows=2)
    files = {name: [tmp_path / path for path in paths] for name, paths in entries.items()}
    try:
        for batch in _sample_files.outputs(chunk, files, MODEL.outputs):
            assert batch["y"].shape == (2, 2)
    except RunnerError:
        pass


@given(content=st.one_of(contents(RESULT), mixed(json.loads(RESULT))))
@settings(max_examples=150)
def test_result_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(content)
    found = results.find([tmp_path])
    assert len(found.results) + len(found.skipped) == 1
    results.newest(found.results)
    results.failed(found.results)


@pytest.mark.parametrize("text", ["", "\0", "[" * 100_000, "9" * 100_000])
def test_hostile_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    assert results.find([path]).skipped
    assert run.read_times(path, 0) is None
    for read in (_summary.read, lambda path: run.read_outputs(path, MODEL)):
        with pytest.raises(RunnerError):
            read(path)
