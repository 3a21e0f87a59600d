"""trtexec as a compiler: its command, its failures, and the stand-in's engine (tests/standins/trtexec)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from runner.core import Placement, TensorSpec, ToolError, process, process_tree
from runner.data.preprocess import Normalisation
from runner.tools.compiler import CompileRequest
from runner.tools.tensorrt.build import TrtexecBuild, shapes

STANDINS = Path(__file__).parents[2] / "standins"
T4 = Placement(soc="t4", kind="nvidia", devices=(0,))
PICTURE = TensorSpec("image", "float32", (3, 4, 6))

Make = Callable[[int | str], CompileRequest]


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path):
    with process.logging_to(tmp_path / "logs"):
        yield


@pytest.fixture
def standins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{STANDINS}:{Path(sys.executable).parent}:{os.environ['PATH']}")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A request for y = image + weights at batch 2; the weights stand before the inputs' shapes in the file."""

    def request(batch: int | str) -> CompileRequest:
        graph = helper.make_graph(
            [helper.make_node("Add", ["image", "weights"], ["y"])],
            "addition",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, *PICTURE.shape])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, *PICTURE.shape])],
            [helper.make_tensor("weights", TensorProto.FLOAT, [6], [1.0] * 6)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
        onnx.save(model, tmp_path / "m.onnx")
        return CompileRequest(
            model=tmp_path / "m.onnx", inputs=(PICTURE,), batch=2, is_static=batch == 2, placement=T4, flags={}
        )

    return request


def fake_trtexec(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    (folder / "trtexec").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "trtexec").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_the_command_gives_the_shape_of_a_free_batch_axis(make: Make) -> None:
    request = make("batch")

    assert TrtexecBuild().commands(request, Path("out/model")) == [
        ("trtexec", f"--onnx={request.model}", "--fp16", "--shapes=image:2x3x4x6", "--saveEngine=out/model.engine")
    ]


def test_the_command_gives_no_shape_for_a_fixed_model(make: Make) -> None:
    (argv,) = TrtexecBuild(fp16=False).commands(make(2), Path("out/model"))

    assert argv[2:] == ("--saveEngine=out/model.engine",)


def test_gears_are_one_optimisation_profile_tuned_for_the_first(make: Make) -> None:
    gears = tuple((PICTURE.at(shape),) for shape in ((3, 4, 6), (3, 6, 4), (3, 5, 5)))

    (argv,) = TrtexecBuild().commands(replace(make("batch"), gears=gears), Path("out/model"))

    assert argv[3:6] == ("--minShapes=image:2x3x4x4", "--optShapes=image:2x3x4x6", "--maxShapes=image:2x3x6x6")


def test_several_batch_sizes_are_one_optimisation_profile_tuned_for_the_largest(make: Make) -> None:
    request = replace(make("batch"), batch=8, batches=(1, 4, 8))
    (argv,) = TrtexecBuild().commands(request, Path("out/model"))
    assert argv[3:6] == ("--minShapes=image:1x3x4x6", "--optShapes=image:8x3x4x6", "--maxShapes=image:8x3x4x6")


def test_several_inputs_are_parted_by_commas_and_odd_names_quoted() -> None:
    assert shapes((PICTURE, TensorSpec("input:0", "int64", (10,))), 8) == "image:8x3x4x6,'input:0':8x10"


@pytest.mark.parametrize("batch", ["batch", 2])
def test_compiling_leaves_an_engine(batch: int | str, make: Make, tmp_path: Path, standins: None) -> None:
    path = TrtexecBuild().compile(make(batch), tmp_path / "out" / "model")

    assert path == tmp_path / "out" / "model.engine"
    assert path.stat().st_size > 0


def test_a_failing_trtexec_shows_its_last_lines_and_its_log(make: Make, tmp_path: Path, standins: None) -> None:
    request = make("batch")
    request.model.write_bytes(b"not onnx")

    with pytest.raises(ToolError, match=r"(?s)^trtexec failed.*command: trtexec.*c\.log.*Failed to parse"):
        TrtexecBuild().compile(request, tmp_path / "model")


def test_a_trtexec_that_succeeds_without_an_engine_is_an_error(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_trtexec(tmp_path / "bin", "echo PASSED", monkeypatch)

    with pytest.raises(ToolError, match="exit status 0 but left no engine"):
        TrtexecBuild().compile(make("batch"), tmp_path / "model")


def test_a_hanging_trtexec_is_ended(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_tree, "GRACE_SECONDS", 0.2)
    fake_trtexec(tmp_path / "bin", "sleep 600", monkeypatch)

    with pytest.raises(ToolError, match=r"still running after 0\.3 seconds"):
        TrtexecBuild(timeout_seconds=0.3).compile(make("batch"), tmp_path / "model")


def test_aipp_is_refused(make: Make, tmp_path: Path, standins: None) -> None:
    request = make("batch")
    aipp = Normalisation(1.0, (0.0,), (1.0,))

    with pytest.raises(ToolError, match="Ascend's own"):
        TrtexecBuild().compile(
            CompileRequest(
                model=request.model, inputs=(PICTURE,), batch=2, is_static=False, placement=T4, flags={}, aipp=aipp
            ),
            tmp_path / "model",
        )


def test_a_missing_trtexec_is_a_fault_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    (problem,) = TrtexecBuild().validate(T4, {}, 11)

    assert "not on the PATH" in problem.message
    assert "/usr/src/tensorrt/bin" in problem.fix


def test_settings_that_it_has_not_are_problems(standins: None) -> None:
    problems = TrtexecBuild(timeout_seconds=-1).validate(T4, {"log": "error"}, 11)

    assert len(problems) == 2


def test_the_version_is_the_library_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_trtexec(tmp_path / "trt" / "bin", "exit 1", monkeypatch)
    (tmp_path / "trt" / "lib").mkdir()
    (tmp_path / "trt" / "lib" / "libnvinfer.so.8.5.1").touch()

    assert TrtexecBuild().version() == "trtexec 8.5.1"


def test_without_a_library_beside_it_the_version_is_a_fingerprint(standins: None) -> None:
    assert TrtexecBuild().version().startswith("trtexec ")


def test_the_version_of_a_missing_trtexec_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    assert TrtexecBuild().version() == "trtexec (not found)"
