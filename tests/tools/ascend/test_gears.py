"""Inputs of free sizes on Ascend: one offline model for the shapes of the samples, through the stages and stand-ins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from runner.config import targets
from runner.config.callables import Target
from runner.core import FREE, CompiledModel, OnnxModel, Placement, Samples, TensorSpec, ToolError
from runner.data import Normalisation, Row, predictions
from runner.data.storage import create_array, finish, write_at
from runner.measure import MeasuringLimits
from runner.stages.benchmark import BenchmarkSpec, benchmark
from runner.stages.compile import CompileSpec, compile
from runner.stages.infer import InferSpec, infer
from runner.tools.ascend import _shapes as shapes
from runner.tools.ascend.ais_bench import AisBench
from runner.tools.ascend.benchmark_tool import BenchmarkTool

STANDINS = Path(__file__).resolve().parents[2] / "standins"
CARD = Placement(soc="310P3", kind="ascend", devices=(0,), soc_version="Ascend310P3")
LIMITS = MeasuringLimits(warmup=1, min_iterations=3, min_seconds=0.0, max_seconds=10.0)
PICTURE = TensorSpec("image", "float32", (1, FREE, FREE))
SIZES = ((1, 6, 9), (1, 6, 9), (1, 6, 9), (1, 9, 6), (1, 9, 6))
PLAIN = Normalisation(1.0, (0.0,), (1.0,))
TOOLS = {
    "ais_bench": Target("runner.tools.ascend.AisBench", {"python": sys.executable, "loop": 5}),
    "api": Target("runner.tools.ascend.AisBench", {"mode": "api"}),
    "ais_infer": Target(
        "runner.tools.ascend.AisInfer",
        {"python": sys.executable, "script": str(STANDINS / "ais_infer.py"), "loop": 5},
    ),
}


@pytest.fixture(params=sorted(TOOLS))
def tool(request, card, monkeypatch) -> Target:
    monkeypatch.syspath_prepend(STANDINS)
    yield TOOLS[request.param]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("ais_bench", "aclruntime")]:
        del sys.modules[name]


@pytest.fixture
def denoiser(tmp_path: Path) -> OnnxModel:
    """One 3 x 3 convolution of whole, exact weights on pictures of any size."""
    kernel = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    axes = ["batch", 1, "height", "width"]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "kernel"], ["clean"], pads=[1, 1, 1, 1])],
        "denoiser",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, axes)],
        [helper.make_tensor_value_info("clean", TensorProto.FLOAT, axes)],
        [onnx.numpy_helper.from_array(kernel, "kernel")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), tmp_path / "denoiser.onnx"
    )
    return OnnxModel(
        path=tmp_path / "denoiser.onnx",
        sha256="digest",
        opset=11,
        batch=None,
        inputs=(PICTURE,),
        outputs=(TensorSpec("clean", "float32", PICTURE.shape),),
    )


def pictures_of(sizes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 8, size).astype(np.float32) for size in sizes]


def samples_of(folder: Path, sizes: Sequence[tuple[int, ...]] = SIZES) -> Samples:
    folder.mkdir()
    array = create_array(folder, PICTURE, len(sizes), sizes)
    with array.path.open("r+b") as file:
        for index, picture in enumerate(pictures_of(sizes)):
            write_at(file.fileno(), picture, array.position(index))
    return finish(folder, (PICTURE,), [Row(id=f"s{index}") for index in range(len(sizes))])


def compile_for(
    model: OnnxModel, samples: Samples, out: Path, is_range: bool = False, batches: tuple[int, ...] = ()
) -> CompiledModel:
    spec = CompileSpec(
        compiler=Target("runner.tools.ascend.Atc", {}),
        compiler_version="1",
        placement=CARD,
        batch=max(batches, default=2),
        flags={},
        aipp=None,
        batches=batches,
        is_range=is_range,
    )
    return compile(spec, model, samples, out=out)


# --- through the stages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"is_range": True}, {"is_range": True, "batches": (1, 2, 4)}],
    ids=["gears", "range", "range of batches too"],
)
def test_outputs_of_every_size_are_onnx_runtimes(tool, denoiser, tmp_path, options) -> None:
    samples = samples_of(tmp_path / "samples")
    model = compile_for(denoiser, samples, tmp_path, **options)
    (tmp_path / "infer").mkdir()
    spec = InferSpec(tool=tool, tool_version="1", placement=CARD, batch=2, normalisation=PLAIN)
    written = infer(spec, model, samples, tmp_path / "infer")
    session = onnxruntime.InferenceSession(denoiser.path)
    found = [output for batch in predictions.iterate(written) for output in batch["clean"]]
    assert [output.shape for output in found] == list(SIZES)
    for output, picture in zip(found, pictures_of(SIZES), strict=True):
        np.testing.assert_array_equal(output, session.run(None, {"image": picture[None]})[0][0])


def test_the_most_common_size_is_measured(tool, denoiser, tmp_path, monkeypatch) -> None:
    measured = []
    real = targets.call

    def recording(target: Target) -> object:
        adapter = real(target)
        measure = type(adapter).measure

        def measured_with(self, model, placement, inputs, limits, work):
            measured.append((model.inputs[0].shape, inputs["image"].shape))
            return measure(self, model, placement, inputs, limits, work)

        monkeypatch.setattr(type(adapter), "measure", measured_with)
        return adapter

    samples = samples_of(tmp_path / "samples", SIZES[::-1])
    model = compile_for(denoiser, samples, tmp_path)
    monkeypatch.setattr("runner.stages.benchmark.targets.call", recording)
    spec = BenchmarkSpec(tool=tool, tool_version="1", placement=CARD, limits=LIMITS, machine=())
    timing = benchmark(spec, model, samples, out=tmp_path)
    assert measured == [((1, 6, 9), (2, 1, 6, 9))]
    assert timing.batch == 2


def test_the_model_keeps_its_gears_the_most_common_first(card, denoiser, tmp_path) -> None:
    model = compile_for(denoiser, samples_of(tmp_path / "samples", SIZES[::-1]), tmp_path)
    assert [gear.inputs[0].shape for gear in model.gears] == [(1, 6, 9), (1, 9, 6)]
    assert "--dynamic_image_size=6,9;9,6" in model.argv


def test_a_range_goes_from_the_smallest_size_to_the_largest(card, denoiser, tmp_path) -> None:
    model = compile_for(denoiser, samples_of(tmp_path / "samples"), tmp_path, is_range=True, batches=(1, 4))
    assert "--input_shape=image:1~4,1,6~9,6~9" in model.argv
    assert not [word for word in model.argv if word.startswith("--dynamic")]
    assert model.served == ("batch 1~4", "image [1, 6~9, 6~9]")


def test_samples_of_one_size_need_no_gears(card, denoiser, tmp_path) -> None:
    model = compile_for(denoiser, samples_of(tmp_path / "samples", SIZES[:3]), tmp_path)
    assert model.gears == ()
    assert "--input_shape=image:2,1,6,9" in model.argv
    assert not [word for word in model.argv if word.startswith("--dynamic")]


def test_more_shapes_than_atc_takes_are_told_with_their_number(card, denoiser, tmp_path) -> None:
    sizes = [(1, 4, 4 + number) for number in range(101)]
    with pytest.raises(ToolError, match=r"the samples have 101 shapes, .* at most 100") as caught:
        compile_for(denoiser, samples_of(tmp_path / "samples", sizes), tmp_path)
    assert "model.preprocess.multiple" in caught.value.fix
    assert "tool.shapes=range" in caught.value.fix


# --- the flags that choose a gear ------------------------------------------------------------------------------------


def tensors(*shapes: tuple[int, ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, "float32", shape) for name, shape in zip("xw", shapes, strict=False))


@pytest.mark.parametrize(
    ("gears", "flags"),
    [
        ([tensors((3, 321, 481)), tensors((3, 481, 321))], ("--dymHW", "321,481")),
        ([tensors((3, 32, 100)), tensors((3, 32, 160))], ("--dymDims", "x:8,3,32,100")),
        ([tensors((50,)), tensors((70,))], ("--dymDims", "x:8,50")),
        ([tensors((3, 4, 6), (5,)), tensors((3, 6, 4), (5,))], ("--dymDims", "x:8,3,4,6;w:8,5")),
    ],
)
def test_height_and_width_of_a_picture_choose_or_all_sizes_of_all_inputs(gears, flags) -> None:
    assert shapes.choice(gears[0], 8, gears) == flags


def test_a_model_of_one_shape_needs_no_choice(compiled) -> None:
    assert shapes.choice_of(compiled(2)) == ()


def test_a_dry_run_has_minus_one_for_a_free_size() -> None:
    assert shapes.choice(tensors((3, FREE, FREE)), 8) == ("--dymHW", "-1,-1")
    assert shapes.choice(tensors((3, 32, FREE)), 8) == ("--dymDims", "x:8,3,32,-1")


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_shape_that_is_no_gear_is_told_by_the_tool(card, python, compiled, batches, work) -> None:
    model = compiled(2, gears=((1, 6, 9), (1, 9, 6))).at([(1, 8, 8)])
    with pytest.raises(ToolError, match=r"(?s)--dymHW 8,8.*the dymHW parameter is not correct"):
        list(AisBench(python=python).infer(model, CARD, batches(model, 2), work))


def test_the_old_benchmark_tool_cannot_choose_a_gear(card) -> None:
    tool = BenchmarkTool(program=str(STANDINS / "benchmark.x86_64"))
    (problem,) = tool.validate(CARD, (PICTURE,))
    assert "sizes of image are free" in problem.message
    assert "tool=ais_bench" in problem.fix


# --- the stand-in of atc is as strict as the real one ----------------------------------------------------------------

SIZE = ("--input_format=NCHW", "--input_shape=image:2,1,-1,-1")
DIMS = ("--input_format=ND", "--input_shape=image:2,1,-1,-1")
BATCH = ("--input_format=NCHW", "--input_shape=image:-1,1,4,4")


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ((*SIZE, "--dynamic_image_size=4,6"), "E10035"),
        ((*SIZE, "--dynamic_image_size=" + ";".join(f"4,{width}" for width in range(1, 102))), "E10036"),
        ((*SIZE, "--dynamic_image_size=4,6;4,6"), "E10039"),
        ((*SIZE, "--dynamic_image_size=4,6;0,6"), "E10038"),
        ((*SIZE, "--dynamic_image_size=4,6;4"), "E10020"),
        ((SIZE[0], "--input_shape=image:2,1,4,-1", "--dynamic_image_size=4,6;4,8"), "E10019"),
        (("--input_format=ND", SIZE[1], "--dynamic_image_size=4,6;6,4"), "E10003"),
        ((*SIZE, "--dynamic_dims=4,6;6,4"), "E10001"),
        ((*DIMS, "--dynamic_dims=4,6;6"), "E10003"),
        ((*DIMS, "--dynamic_dims=4,6;6,4", "--insert_op_conf=aipp.cfg"), "E10001"),
        ((*DIMS, "--dynamic_dims=4,6;6,4", "--dynamic_image_size=4,6;6,4"), "E10009"),
        ((*DIMS, "--dynamic_dims=4,6;6,4", "--input_shape_range=image:[1~2]"), "E10009"),
        (("--input_shape=image:2,1,-1,4", "--dynamic_batch_size=1,2"), "E10031"),
        (("--input_shape=image:-1,1,-1,4", "--dynamic_batch_size=1,2"), "E10018"),
        ((*BATCH, "--dynamic_batch_size=1;2"), "E10003"),
        ((*BATCH, "--dynamic_batch_size=4"), "E10035"),
        ((*BATCH, "--dynamic_batch_size=4,4"), "E10039"),
        ((*BATCH, "--dynamic_batch_size=0,4"), "E10038"),
        (("--input_shape=image:1~2,1,4,4", "--dynamic_batch_size=1,2"), "E10040"),
        (("--input_shape=image:2~1,1,4,4",), "E10048"),
        (SIZE, "E10001"),
    ],
)
def test_the_stand_in_refuses_what_atc_refuses(flags, code, denoiser, tmp_path) -> None:
    common = (f"--model={denoiser.path}", "--framework=5", f"--output={tmp_path / 'm'}", "--soc_version=Ascend310P3")
    done = subprocess.run([STANDINS / "python3", STANDINS / "atc", *common, *flags], capture_output=True, text=True)
    assert (done.returncode, code in done.stdout) == (255, True), done.stdout
