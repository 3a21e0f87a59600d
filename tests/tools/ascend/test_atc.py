"""atc: its commands, its failures, and what comes out of the stand-in (tests/standins/atc)."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from runner.core import Placement, TensorSpec, ToolError, process, process_tree
from runner.data.preprocess import Normalisation, normalise
from runner.tools.ascend import _aipp as aipp
from runner.tools.ascend import cann
from runner.tools.ascend._shapes import input_shape
from runner.tools.ascend.atc import Atc
from runner.tools.compiler import CompileRequest

STANDINS = Path(__file__).parents[2] / "standins"
CARD = Placement(soc="310P3", kind="ascend", devices=(0,), soc_version="Ascend310P3")
PICTURE = TensorSpec("image", "float32", (3, 4, 6))
IMAGENET = Normalisation(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
NOWHERE = Atc(environment_script="/nonexistent/set_env.sh")

Make = Callable[..., CompileRequest]


@pytest.fixture(autouse=True)
def _logs(tmp_path: Path):
    with process.logging_to(tmp_path / "logs"):
        yield


@pytest.fixture
def standins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{STANDINS}:{Path(sys.executable).parent}:{os.environ['PATH']}")


@pytest.fixture
def om_file() -> ModuleType:
    spec = importlib.util.spec_from_file_location("om_file", STANDINS / "om_file.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A request for y = -image at batch 2; the ONNX file's batch axis is free unless told."""

    def request(opset: int = 11, name: str = "image", batch: int | str = "batch", **changes: Any) -> CompileRequest:
        graph = helper.make_graph(
            [helper.make_node("Neg", [name], ["y"], name="negation")],
            "negation",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *PICTURE.shape])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, *PICTURE.shape])],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        onnx.save(model, tmp_path / "m.onnx")
        return replace(
            CompileRequest(
                model=tmp_path / "m.onnx", inputs=(PICTURE,), batch=2, is_static=False, placement=CARD, flags={}
            ),
            **changes,
        )

    return request


def command(flags: dict[str, Any] | None = None, **changes: Any) -> tuple[str, ...]:
    request = CompileRequest(
        model=Path("m.onnx"), inputs=(PICTURE,), batch=2, is_static=False, placement=CARD, flags=flags or {}
    )
    (argv,) = Atc().commands(replace(request, **changes), Path("out/model"))
    return argv


def fake_atc(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "atc").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "atc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_the_command_is_the_guides(tmp_path: Path) -> None:
    assert command() == (
        "atc",
        "--framework=5",
        "--model=m.onnx",
        "--output=out/model",
        "--input_format=NCHW",
        "--input_shape=image:2,3,4,6",
        "--log=error",
        "--soc_version=Ascend310P3",
    )


def test_the_model_s_flags_go_before_the_defaults_and_others_behind() -> None:
    argv = command({"log": "debug", "enable_small_channel": True, "output_type": "FP16", "precision_mode": None})

    assert argv[4:] == (
        "--input_format=NCHW",
        "--input_shape=image:2,3,4,6",
        "--log=debug",
        "--soc_version=Ascend310P3",
        "--enable_small_channel=1",
        "--output_type=FP16",
    )


def test_switches_are_spelt_as_atc_reads_them() -> None:
    argv = command({"enable_compress_weight": False, "enable_small_channel": False, "log": None})

    assert {"--enable_compress_weight=false", "--enable_small_channel=0", "--log=null"} <= set(argv)


def test_several_inputs_are_parted_by_semicolons() -> None:
    inputs = (PICTURE, TensorSpec("input:0", "int64", (10,)), TensorSpec("flag", "float32", ()))

    assert input_shape(inputs, 8) == "image:8,3,4,6;input:0:8,10;flag:8"


def test_inputs_that_are_not_all_pictures_have_no_format_of_theirs() -> None:
    assert "--input_format=ND" in command(inputs=(PICTURE, TensorSpec("words", "int64", (10,))))
    assert "--input_format=NCHW" in command({"input_format": "NCHW"}, inputs=(TensorSpec("words", "int64", (10,)),))


@pytest.mark.parametrize(
    ("gears", "flags"),
    [
        (
            [[(3, 321, 481)], [(3, 481, 321)]],
            ("--input_format=NCHW", "--input_shape=x:2,3,-1,-1", "--dynamic_image_size=321,481;481,321"),
        ),
        (
            [[(3, 32, 100)], [(3, 32, 160)]],
            ("--input_format=ND", "--input_shape=x:2,3,32,-1", "--dynamic_dims=100;160"),
        ),
        ([[(1, 4, 6)], [(3, 4, 6)]], ("--input_format=ND", "--input_shape=x:2,-1,4,6", "--dynamic_dims=1;3")),
        (
            [[(8, 50), (50,)], [(8, 70), (60,)]],
            ("--input_format=ND", "--input_shape=x:2,8,-1;w:2,-1", "--dynamic_dims=50,50;70,60"),
        ),
        (
            [[(3, 4, 6), (3, 4, 6)], [(3, 6, 4), (3, 4, 6)]],
            ("--input_format=ND", "--input_shape=x:2,3,-1,-1;w:2,3,4,6", "--dynamic_dims=4,6;6,4"),
        ),
    ],
)
def test_sizes_that_differ_are_gears(gears: list[list[tuple[int, ...]]], flags: tuple[str, ...]) -> None:
    tensors = tuple(
        tuple(TensorSpec(name, "float32", shape) for name, shape in zip("xw", gear, strict=False)) for gear in gears
    )

    assert command(gears=tensors)[4:7] == flags


def test_a_dry_run_has_minus_one_for_a_free_size() -> None:
    assert command(inputs=(TensorSpec("image", "float32", (3, -1, -1)),))[4:7] == (
        "--input_format=NCHW",
        "--input_shape=image:2,3,-1,-1",
        "--dynamic_image_size=-1,-1",
    )


@pytest.mark.parametrize("name", ["input_format", "insert_op_conf", "input_hint_shape"])
def test_flags_that_free_sizes_exclude_are_problems(name: str, standins: None, tmp_path: Path) -> None:
    (tmp_path / "aipp.cfg").touch()
    flags = {name: {"input_format": "NCHW", "insert_op_conf": str(tmp_path / "aipp.cfg")}.get(name, "image:2")}

    (problem,) = Atc().validate(CARD, flags, 11, (TensorSpec("image", "float32", (3, -1, -1)),))

    assert f"model.atc.{name} is set, and sizes of image are free" in problem.message
    assert Atc().validate(CARD, flags, 11, (PICTURE,)) == []


def test_the_aipp_file_is_named_in_the_command() -> None:
    assert command(aipp=IMAGENET)[-1] == "--insert_op_conf=out/model.aipp.cfg"


def test_the_aipp_file_subtracts_the_mean_in_pixels_and_multiplies_by_the_inverse_deviation() -> None:
    assert aipp.aipp_config(IMAGENET, (PICTURE,)) == (
        "aipp_op {\n"
        "    aipp_mode: static\n"
        "    related_input_rank: 0\n"
        "    input_format: RGB888_U8\n"
        "    src_image_size_w: 6\n"
        "    src_image_size_h: 4\n"
        "    min_chn_0: 123.675\n"
        "    min_chn_1: 116.28\n"
        "    min_chn_2: 103.53\n"
        "    var_reci_chn_0: 0.01712475383\n"
        "    var_reci_chn_1: 0.0175070028\n"
        "    var_reci_chn_2: 0.0174291939\n"
        "}\n"
    )


def test_one_value_of_the_normalisation_serves_all_channels() -> None:
    config = aipp.aipp_config(Normalisation(1.0, (0.0,), (2.0,)), (PICTURE,))

    assert config.count("min_chn_") == 3
    assert "min_chn_2: 0\n" in config
    assert "var_reci_chn_2: 0.5\n" in config


@pytest.mark.parametrize("shape", [(4, 84, 84), (100,), (3, 5000, 10), (3, -1, -1)])
def test_aipp_takes_pictures_only(shape: tuple[int, ...]) -> None:
    with pytest.raises(ToolError, match="the input image is") as error:
        command(aipp=IMAGENET, inputs=(TensorSpec("image", "float32", shape),))

    assert "model.aipp=false" in error.value.fix


@pytest.mark.parametrize("normalisation", [Normalisation(1.0, (-1.0,), (1.0,)), Normalisation(0.001, (0.5,), (1.0,))])
def test_a_mean_outside_of_the_pixels_is_refused_with_aipp(normalisation: Normalisation) -> None:
    with pytest.raises(ToolError, match="all that AIPP subtracts"):
        aipp.aipp_config(normalisation, (PICTURE,))


@pytest.mark.parametrize("flags", [{"insert_op_conf": "other.cfg"}, {"input_format": "ND"}])
def test_flags_that_contradict_aipp_are_refused(flags: dict[str, str]) -> None:
    with pytest.raises(ToolError, match=r"model\.aipp=true"):
        command(flags, aipp=IMAGENET)


def test_compiling_leaves_an_om_for_the_soc_and_the_batch(
    make: Make, tmp_path: Path, standins: None, om_file: ModuleType
) -> None:
    path = Atc().compile(make(), tmp_path / "out" / "model")

    assert path == tmp_path / "out" / "model.om"
    header, _ = om_file.unpack(path)
    assert header["soc_version"] == "Ascend310P3"
    assert header["batch"] == 2
    assert header["inputs"] == [{"name": "image", "dtype": "float32", "shape": [2, 3, 4, 6]}]
    assert header["outputs"] == [{"name": "y", "dtype": "float32", "shape": [2, 3, 4, 6]}]


def test_nothing_but_the_om_is_left_behind(
    make: Make, tmp_path: Path, standins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    Atc().compile(make(), Path("out/model"))

    assert [path.name for path in Path("out").iterdir()] == ["model.om"]
    assert [path.name for path in Path().iterdir()] == ["out"]


def test_an_om_with_aipp_takes_bytes_and_computes_as_the_host_would(
    make: Make, tmp_path: Path, standins: None, om_file: ModuleType
) -> None:
    path = Atc().compile(make(aipp=IMAGENET), tmp_path / "model")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)

    (found,) = om_file.run(path, {"image": pictures})

    expected = -normalise(pictures.transpose(0, 3, 1, 2), IMAGENET)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_what_was_run_is_recorded(make: Make, tmp_path: Path, standins: None) -> None:
    request = make()
    with process.recording() as commands:
        Atc().compile(request, tmp_path / "model")

    assert [(entry.stage, entry.argv) for entry in commands] == [
        ("compile", Atc().commands(request, tmp_path / "model")[0])
    ]


def test_an_input_that_the_model_lacks_is_told_with_both_names(make: Make, tmp_path: Path, standins: None) -> None:
    with pytest.raises(ToolError, match=r"(?s)status 255, error E10016.*command: atc.*atc\.log.*not found") as error:
        Atc().compile(make(name="actual_input_1"), tmp_path / "model")

    assert "declares image" in error.value.fix
    assert "has actual_input_1" in error.value.fix


def test_another_batch_than_the_model_s_fails_with_atc_s_words(make: Make, tmp_path: Path, standins: None) -> None:
    with pytest.raises(ToolError, match=r"(?s)error EZ9999.*does not agree"):
        Atc().compile(make(batch=4), tmp_path / "model")


def test_a_soc_that_atc_does_not_know_fails_with_a_hint(make: Make, tmp_path: Path, standins: None) -> None:
    with pytest.raises(ToolError, match=r"(?s)error E10001.*Ascend999") as error:
        Atc().compile(make(placement=replace(CARD, soc_version="Ascend999")), tmp_path / "model")

    assert "npu-smi" in error.value.fix


@pytest.mark.parametrize("opset", [7, 14, 18])
def test_an_opset_that_atc_does_not_read_is_a_problem(opset: int, standins: None) -> None:
    (problem,) = Atc().validate(CARD, {}, opset)
    assert problem.message == f"model.export.opset is {opset}; atc reads 8 to 13"
    assert "model.export.opset=11" in problem.fix


def test_a_newer_cann_reads_newer_opsets(standins: None) -> None:
    assert Atc(newest_opset=18).validate(CARD, {}, 16) == []


def test_a_broken_onnx_file_is_an_error(make: Make, tmp_path: Path, standins: None) -> None:
    request = make()
    request.model.write_bytes(b"not onnx")

    with pytest.raises(ToolError, match="error E10032"):
        Atc().compile(request, tmp_path / "model")


EZ3003 = """ATC run failed, Please check the detail log, Try 'atc --help' for more information
EZ3003: [PID: 10490] 2024-03-18-09:01:02.345.678 No supported Ops kernel and engine are found for [MyOp_111], \
optype [MyOp].
        Possible Cause: The operator is not supported by the system.
        TraceBack (most recent call last):
        a frame
        a frame
        a frame
        a frame
        a frame
        a frame
        a frame
        a frame
        a frame
        a frame
        a frame
"""
EC0010 = """Environment_Error_Import_Python_Module_Failed(EC0010):
Failed to import Python module ModuleNotFoundError: No module named 'decorator'."""


@pytest.mark.parametrize(
    ("said", "message", "fix"),
    [
        (EZ3003, "error EZ3003: operator MyOp_111 (MyOp)", "rewrite it with a model.surgery"),
        (
            "E19010: No parser is registered for Op [pad_3, optype [ai.onnx::11::Pad]].",
            "error E19010: operator pad_3 (ai.onnx::11::Pad)",
            "model.export.opset=11",
        ),
        (EC0010, "error EC0010: its Python has no module decorator", "python3 -m pip install attrs"),
        ("E40000: Failed to import te.platform.log_util", "error E40000", "python3 -m pip install attrs"),
        ("EI0006: Getting socket times out.", "error EI0006", "connection between cards (HCCL)"),
        ("EZ9999: Inner Error!", "error EZ9999", "an error inside CANN"),
        ("E10007: [--framework] is required.", "error E10007", "the choices that atc names"),
        (
            "atc.bin: error while loading shared libraries: libascend_hal.so: cannot open shared object file",
            "libascend_hal.so is not found",
            "/$(uname -m)-linux/devlib",
        ),
    ],
)
def test_a_failure_names_the_operator_or_the_cause(
    said: str, message: str, fix: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_atc(tmp_path / "bin", f"cat <<'END'\n{said}\nEND\nexit 255", monkeypatch)

    with pytest.raises(ToolError) as error:
        Atc().compile(make(), tmp_path / "model")

    assert error.value.message.splitlines()[0].endswith(message)
    assert fix in error.value.fix


def test_the_line_with_the_code_is_quoted_before_a_trace(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_atc(tmp_path / "bin", f"cat <<'END'\n{EZ3003}\nEND\nexit 255", monkeypatch)

    with pytest.raises(ToolError, match=r"\| EZ3003: .* found for \[MyOp_111\]"):
        Atc().compile(make(), tmp_path / "model")


def test_atc_s_own_log_folder_is_named(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_PROCESS_LOG_PATH", "/var/log/cann")
    fake_atc(tmp_path / "bin", "echo EZ9999: Inner Error!; exit 255", monkeypatch)

    with pytest.raises(ToolError) as error:
        Atc().compile(make(), tmp_path / "model")

    assert "atc's own log is below /var/log/cann" in error.value.fix


@pytest.mark.parametrize(("release", "newest"), [("6.0.1", 13), ("7.0.RC1", 18), ("8.5.0", 18), ("21.0.4", 13)])
def test_the_newest_opset_is_that_of_cann_s_version(
    release: str, newest: int, standins: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"cann-{release}").mkdir()
    fake_atc(tmp_path / f"cann-{release}" / "bin", "exit 1", monkeypatch)

    assert Atc().version() == f"atc of CANN {release}"
    assert Atc().validate(CARD, {}, newest) == []
    (problem,) = Atc().validate(CARD, {}, newest + 1)
    assert problem.message == f"model.export.opset is {newest + 1}; atc reads 8 to {newest}"


def test_a_python_that_atc_cannot_use_is_a_problem(
    standins: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\necho decorator\n")
    (tmp_path / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    (problem,) = Atc().validate(CARD, {}, 11)

    assert "lacks decorator" in problem.message


@pytest.mark.parametrize(
    ("name", "is_taken"), [("cache-1.0_x", True), ("模型", True), ("my cache", False), ("a+b", False)]
)
def test_paths_that_atc_refuses_are_problems(name: str, is_taken: bool) -> None:
    problems = Atc().path_problems(Path("/") / name)

    assert (problems == []) == is_taken
    assert is_taken or (name in problems[0].message and "cache_dir=" in problems[0].fix)


@pytest.mark.parametrize("script", ["echo done", 'for a; do case "$a" in --output=*) : >"${a#*=}.om";; esac; done'])
def test_an_atc_that_succeeds_without_an_om_is_an_error(
    script: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_atc(tmp_path / "bin", script, monkeypatch)

    with pytest.raises(ToolError, match=r"(?s)exit status 0 but left no \.om.*atc\.log"):
        Atc().compile(make(), tmp_path / "model")


def test_an_om_with_the_host_in_its_name_is_found(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'for a; do case "$a" in --output=*) echo om >"${a#*=}_linux_x86_64.om";; esac; done'
    fake_atc(tmp_path / "bin", script, monkeypatch)

    assert Atc().compile(make(), tmp_path / "model").name == "model_linux_x86_64.om"


def test_a_hanging_atc_is_ended_and_told_with_its_command(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_tree, "GRACE_SECONDS", 0.2)
    fake_atc(tmp_path / "bin", "sleep 600", monkeypatch)

    with pytest.raises(ToolError, match=r"(?s)^atc was still running after 0\.3 s.*command: atc --fra"):
        Atc(timeout_seconds=0.3).compile(make(), tmp_path / "model")


def test_an_atc_killed_for_memory_says_so(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_atc(tmp_path / "bin", "exit 137", monkeypatch)

    with pytest.raises(ToolError, match="exit status 137") as error:
        Atc().compile(make(), tmp_path / "model")

    assert "memory" in error.value.fix


def test_atc_is_found_by_the_environment_script(make: Make, tmp_path: Path) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text(f'export PATH="{STANDINS}:{Path(sys.executable).parent}:$PATH"\n')
    atc = Atc(environment_script=str(script))

    assert atc.compile(make(), tmp_path / "model").exists()
    assert atc.validate(CARD, {}, 11) == []


def test_compiling_without_cann_says_what_to_do(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="atc is not on the PATH") as error:
        NOWHERE.compile(make(), tmp_path / "model")

    assert "tool.environment_script" in error.value.fix


def test_a_missing_cann_is_a_problem_with_the_ways_out() -> None:
    (problem,) = NOWHERE.validate(CARD, {}, 11)

    assert "/nonexistent/set_env.sh" in problem.message
    for way in ("install CANN", "tool.environment_script=PATH", "dry_run=true"):
        assert way in problem.fix


def test_a_script_that_brings_no_atc_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "set_env.sh").write_text("")

    (problem,) = Atc(environment_script=str(tmp_path / "set_env.sh")).validate(CARD, {}, 11)

    assert "neither" in problem.message


def test_a_script_that_fails_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "set_env.sh").write_text("return 1\n")

    (problem,) = Atc(environment_script=str(tmp_path / "set_env.sh")).validate(CARD, {}, 11)

    assert "exit status 1" in problem.message


def test_a_host_with_another_chip_compiles_all_the_same(standins: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_CHIPS", "310,310")
    assert Atc().validate(CARD, {}, 11) == []


def test_a_host_with_atc_has_no_problem(standins: None) -> None:
    assert Atc().validate(CARD, {"log": "debug"}, 11) == []


def test_a_soc_without_a_soc_version_is_a_problem(standins: None) -> None:
    (problem,) = Atc().validate(replace(CARD, soc_version=None), {}, 11)

    assert "soc.soc_version=Ascend310P3" in problem.fix


@pytest.mark.parametrize(
    ("flags", "message", "fix"),
    [
        ({"enable_smal_channel": 1}, "no flag of atc", "did you mean enable_small_channel"),
        ({"soc_version": "Ascend310"}, "the runner's own", "take soc_version out"),
        ({"input_shape": "image:1,3,4,6"}, "the runner's own", "take input_shape out"),
        ({"dynamic_batch_size": "1,4"}, "the runner sets it", "batch.gears=[1,4,8]"),
        ({"log": "eror"}, "log is 'eror'", "did you mean error"),
        ({"input_format": "NHWC"}, "input_format is 'NHWC'", "NCHW, NCDHW, ND"),
        ({"precision_mode": "fp16"}, "precision_mode is 'fp16'", "force_fp16"),
        ({"precision_mode_v2": "float16"}, "precision_mode_v2 is 'float16'", "mixed_float16"),
        ({"precision_mode": "force_fp16", "precision_mode_v2": "fp16"}, "are both set", "leave one out"),
        ({"out_nodes": ["a:0"]}, "out_nodes is ['a:0']", "one value"),
        ({"fusion_switch_file": "/no/file.cfg"}, "no file /no/file.cfg", "existing file"),
    ],
)
def test_flags_that_atc_would_refuse_are_problems(
    flags: dict[str, Any], message: str, fix: str, standins: None
) -> None:
    (problem,) = Atc().validate(CARD, flags, 11)

    assert message in problem.message
    assert fix in problem.fix


def test_settings_out_of_range_are_problems(standins: None) -> None:
    problems = Atc(timeout_seconds=0, newest_opset=3).validate(CARD, {}, 11)[:2]

    assert [problem.message for problem in problems] == [
        "tool.compiler.timeout_seconds is 0",
        "tool.compiler.newest_opset is 3",
    ]


def test_the_version_is_the_toolkit_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toolkit = tmp_path / "8.0.RC1"
    (toolkit / "x86_64-linux").mkdir(parents=True)
    (toolkit / "x86_64-linux" / "ascend_toolkit_install.info").write_text(
        "package_name=Ascend-cann-toolkit\nversion=8.0.RC1\ninnerversion=V100R001\n"
    )
    fake_atc(toolkit / "bin", "exit 1", monkeypatch)

    assert Atc().version() == "atc of CANN 8.0.RC1"


def test_the_version_is_the_same_before_the_script_is_sourced(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "version.cfg").write_text("# version: 1.0\ntoolkit_running_version=[7.0.0:7.0.RC1]\n")
    (tmp_path / "set_env.sh").write_text("exit 1\n")

    assert Atc(environment_script=str(tmp_path / "set_env.sh")).version() == "atc of CANN 7.0.0:7.0.RC1"


def test_without_a_version_file_another_atc_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = []
    for number in range(2):
        fake_atc(tmp_path / str(number), f"exit {number}", monkeypatch)
        versions.append(Atc().version())

    assert versions[0] != versions[1]


def test_the_version_of_a_missing_atc_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cann, "NEWER_ENVIRONMENT_SCRIPT", "/nonexistent")

    assert NOWHERE.version() == "atc (not found)"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"surprise": "1"}, "E10005"),
        ({"framework": None}, "E10004"),
        ({"model": None}, "E10004"),
        ({"output": None}, "E10004"),
        ({"soc_version": None}, "E10004"),
        ({"framework": "3"}, "E10007"),
        ({"model": "/nonexistent.onnx"}, "E10001"),
        ({"soc_version": "310P3"}, "E10001"),
        ({"log": "loud"}, "E10010"),
        ({"input_shape": None}, "E10001"),
        ({"input_shape": "image"}, "E10002"),
    ],
)
def test_the_stand_in_refuses_what_the_real_one_does(
    change: dict[str, str | None], code: str, make: Make, tmp_path: Path, standins: None
) -> None:
    (argv,) = Atc().commands(make(), tmp_path / "model")
    flags = dict(item.removeprefix("--").split("=", 1) for item in argv[1:]) | change
    changed = ["atc", *(f"--{name}={value}" for name, value in flags.items() if value is not None)]

    finished = process.run(changed, stage="compile", name="atc", timeout_seconds=60, cwd=tmp_path)

    assert finished.returncode != 0
    assert code in finished.tail
    assert not (tmp_path / "model.om").exists()
