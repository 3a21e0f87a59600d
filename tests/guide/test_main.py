import json
import string
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.config import options
from runner.guide import __main__ as guide
from runner.guide import wording

SECTIONS = {
    "zh": [
        "概述",
        "输入输出数据",
        "推理环境准备",
        "快速上手",
        "获取源码",
        "准备数据集",
        "模型推理",
        "模型推理性能&精度",
    ],
    "en": [
        "Overview",
        "Input and output data",
        "Preparing the environment",
        "Quick start",
        "Getting the source",
        "Preparing the data set",
        "Inference",
        "Performance and accuracy",
    ],
}


@pytest.fixture
def write(tmp_path, monkeypatch, capsys) -> Callable[..., str]:
    """`python -m runner.guide ...` in an empty folder; its standard output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, check: int = 0) -> str:
        assert guide.main(arguments) == check
        done = capsys.readouterr()
        return done.err if check else done.out

    return run


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_guide_has_the_guides_sections_in_order(write, language: str) -> None:
    text = write("model=dcgan", f"lang={language}")
    headings = [line.lstrip("# ").split("<")[0] for line in text.splitlines() if "<a name=" in line]
    assert headings == SECTIONS[language]


@pytest.mark.parametrize("model", ["dcgan", "dpn131", "dqn", "moco_v2", "pnasnet5large", "squeezenet1_0"])
def test_every_model_has_a_guide_in_both_languages(write, model: str) -> None:
    for language in wording.LANGUAGES:
        assert model in write(f"model={model}", f"lang={language}")


@pytest.mark.parametrize(
    ("model", "dataset", "task", "decoder", "arguments", "metric"),
    [
        ("yolov5n", "coco", "目标检测", "`Anchored` 解码", "score 0.001", "map50 (%)"),
        ("espnet_camvid", "camvid", "语义分割", "`Maps` 解码", "", "miou (%)"),
        ("adnet", "denoising", "图像复原", "`Picture` 解码", "", "psnr (dB), ssim"),
        ("lprnet", "plates", "文字识别", "`Ctc` 解码", "blank last, layout NCT", "exact (%), cer (%)"),
        ("ppocrv4_det", "icdar2015", "文字检测", "`Db` 解码", "threshold 0.3", "hmean (%)"),
    ],
)
def test_each_task_is_told_with_its_decoder_and_metrics(
    write, model, dataset, task, decoder, arguments, metric
) -> None:
    text = write(f"model={model}", f"dataset={dataset}", "batch=1")
    assert f"{model} 用于{task}" in text
    assert f"输出由 {decoder}" in text
    assert arguments in text
    assert metric in text


def test_every_reader_of_a_folder_has_its_layout_told() -> None:
    readers = {
        content["reader"]["_target_"].rpartition(".")[2]
        for path in (options.CONF / "dataset").glob("*.yaml")
        if "root" in (content := options.read(path)).get("reader", {}) and "_target_" in content["reader"]
    }
    assert {f"folder_{reader}" for reader in readers} <= wording.EN.keys()


def test_both_languages_say_the_same_things() -> None:
    chinese, english = wording.ZH, wording.EN
    assert chinese.keys() == english.keys()
    for key in chinese:
        fields = [
            {name for _, name, _, _ in string.Formatter().parse(text[key]) if name} for text in (chinese, english)
        ]
        assert fields[0] == fields[1], key


def test_inputs_are_told_with_shapes_and_types(write) -> None:
    assert "| noise | FLOAT32 | batchsize x 100 x 1 x 1 | NCHW |" in write("model=dcgan")


def test_the_commands_are_the_plans_for_every_batch_size(write) -> None:
    text = write("model=dcgan", "batch=1,24")
    assert "python -m runner -m model=dcgan soc=310P3 batch=1,24" in text
    assert "atc --framework=5 --model=dcgan.onnx --output=dcgan_bs24" in text
    assert "--input_shape=noise:1,100,1,1" in text
    assert text.count("python3 -m ais_bench") == 4


def test_the_batch_sizes_are_the_published_ones_unless_named(write) -> None:
    assert "batch=1,4,8,16,32\n" in write("model=dcgan")


def test_another_soc_has_the_commands_of_its_tool(write) -> None:
    assert "trtexec --onnx=dqn.onnx" in write("model=dqn", "soc=t4")


def test_a_tool_in_process_needs_no_commands(write) -> None:
    text = write("model=dcgan", "soc=cpu", "lang=en")
    assert "onnxruntime loads ONNX itself; there is nothing to compile." in text
    assert "there is no external command" in text


def test_a_data_set_of_pictures_needs_a_folder(write) -> None:
    text = write("model=moco_v2", "lang=en")
    assert "dataset.root=DIR" in text
    assert "Resize: shorter side to 256 pixels, bicubic" in text


def test_the_geometry_of_pictures_is_told(write) -> None:
    text = write("model=yolov5n", "dataset=coco", "lang=en", "batch=1")
    assert "Resize to fit into 640 x 640 pixels, keeping the ratio" in text
    assert "Pad with 114 to 640 x 640 pixels, the picture in the centre" in text
    tiled = ["model.preprocess.tile=[64,64]", "model.preprocess.overlap=8", "model.preprocess.multiple=4"]
    text = write("model=adnet", "dataset=denoising", "lang=en", "batch=1", *tiled)
    for line in ("Not resized", "Cut into tiles of 64 x 64 pixels that overlap by at least 8", "Channels: GREY"):
        assert line in text
    assert "to a multiple of 4 pixels" in text


def test_free_sizes_are_told_with_the_commands_that_compile_for_them(write) -> None:
    text = write("model=adnet", "dataset=denoising", "lang=en", "batch=1")
    assert "| image | FLOAT32 | batchsize x 1 x any x any | NCHW |" in text
    assert "compiled for all its samples' shapes (gears, 2 to 100)" in text
    assert "--input_shape=image:1,1,-1,-1 --dynamic_image_size=" in text
    assert "gears" not in write("model=adnet", "dataset=denoising", "lang=en", "batch=1", "soc=cpu")


def test_an_outside_onnx_is_told_with_its_source_and_reference(write) -> None:
    text = write("model=ppocrv4_det", "dataset=icdar2015", "lang=en", "batch=1", "model.onnx.sha256=ab12")
    assert "1. Get the ONNX file." in text
    assert "is part of the Python package `rapidocr_onnxruntime`, and its SHA-256 is checked (ab12)" in text
    assert "The file was made by paddle2onnx" in text
    assert "cut at the outputs `sigmoid_0.tmp_0`" in text
    assert "with those of ONNX Runtime without optimisation" in text


def test_a_batch_dependent_model_is_told_with_the_reason(write) -> None:
    text = write("model=lprnet", "dataset=plates", "lang=en", "batch=1")
    assert "depend on the batch that it is in (divides by means over the whole batch)" in text


def test_the_references_metric_is_named_in_the_language(write, tmp_path) -> None:
    fidelity = {"samples": 8, "cosine": 1.0, "accuracy": {"acc": 99.0}, "tool_accuracy": {"acc": 98.0}}
    whole = {"schema": 1, "status": "ok", "model": "dcgan", "soc": "310P3", "tool": "ais_bench", "batch": 1}
    more = {"dataset": "noise", "accuracy": {"acc": 98.0, "samples": 8}, "fidelity": fidelity}
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "result.json").write_text(json.dumps({**whole, **more}))
    assert "by PyTorch" in write("model=dcgan", "lang=en", "--results", "runs")
    assert "by PyTorch" not in write("model=dcgan", "lang=zh", "--results", "runs")


def test_the_weights_source_is_told(write) -> None:
    told = write("model=dpn131", "lang=en")
    assert "no `checkpoints/dpn131-7af84be88.pth`, the first run fetches <http://data.lip6.fr/" in told
    assert "Get it there: dqn.pth is part of the guide's source package" in write("model=dqn", "lang=en")


def test_what_deviates_from_the_original_guide_is_told(write) -> None:
    assert "onnxsim is given the shape of the batch" in write("model=dcgan")


def test_the_published_figures_stand_with_their_source(write) -> None:
    text = write("model=dqn", "lang=en")
    assert "| bs1 | 8147.44 |" in text
    assert "Source: DQN guide, table of performance and accuracy, BS1" in text


def test_measured_figures_stand_beside_the_published(write, tmp_path) -> None:
    result = {
        "schema": 1,
        "status": "ok",
        "model": "dcgan",
        "soc": "310P3",
        "tool": "ais_bench",
        "batch": 1,
        "dataset": "noise",
        "weights": {"origin": "random"},
        "accuracy": {"acc": 99.5, "samples": 8},
        "performance": {"samples_per_second": 7573.25, "latency_ms": {"mean": 2.0}},
        "environment": {"python": "3.7.5", "tools": {"ais_bench": "ais_bench 0.0.2"}},
    }
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "result.json").write_text(json.dumps(result))
    text = write("model=dcgan", "lang=zh", "--results", "runs")
    assert "| Throughput | 310P3 (samples/s) | 310P3 公布值 (samples/s) | 310P3 实测/公布 |" in text
    assert "| bs1 | 7573.25 | 7573.25 | 1.00 | 2.000 |" in text
    assert "| 最优batch | 7573.25 |" in text
    assert "未与公布值比较: 随机权重" in text
    assert "| ais\\_bench | ais\\_bench 0.0.2 |" in text


def test_out_names_the_file(write, tmp_path) -> None:
    assert write("model=dcgan", "--out", "doc/dcgan.md") == f"guide: {Path('doc/dcgan.md')}\n"
    assert (tmp_path / "doc" / "dcgan.md").read_text().startswith("# dcgan 模型-推理指导")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "no model is named"),
        (("model=dcgan", "lang=fr"), "choose from zh, en"),
        (("model=no_such",), "there is no model=no_such"),
        (("model=dcgan", "batch=many"), "batch=many names no batch size"),
        (("model=dcgan", "batch=0"), "numbers of at least 1"),
        (("model=dcgan", "tool=trtexec"), "tool=trtexec does not serve soc=310P3"),
        (("model=lprnet", "dataset=imagenet"), "is for recognition, and dataset=imagenet for image_classification"),
        (("model=dcgan", "--results", "nowhere"), "--results nowhere does not exist"),
        (("model=dcgan", "--out", "/proc/guide.md"), "cannot be written"),
    ],
)
def test_what_cannot_be_is_an_error_without_a_traceback(write, arguments: tuple[str, ...], told: str) -> None:
    assert told in write(*arguments, check=1)
