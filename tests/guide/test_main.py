# ruff: noqa: RUF001 (Chinese has its own punctuation)

import json
import re
import string
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from runner.config import groups, options
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


@pytest.fixture
def write_result(tmp_path) -> Callable[..., None]:
    """A result of dcgan as a 310P3 made it, with `changes`, in runs/N."""

    def write_one(**changes: Any) -> None:
        whole = {
            "schema": 1,
            "status": "ok",
            "model": "dcgan",
            "soc": "310P3",
            "tool": "ais_bench",
            "batch": 1,
            "dataset": "noise",
            "weights": {"origin": "file"},
            "accuracy": {"acc": 99.5, "samples": 8192},
            "metrics": {"acc": {"unit": "percent", "better": "higher"}},
            "performance": {"samples_per_second": 15146.5, "latency_ms": {"mean": 0.066, "p99": 0.08}, "valid": True},
            "gates": [{"name": "accuracy.acc", "measured": 99.5, "expected": 100.0, "tolerance": 1, "verdict": "pass"}],
            "environment": {
                "host": "kunpeng-7",
                "os": "openEuler",
                "cpu": "EPYC, 2 cores",
                "python": "3.11.9",
                "packages": {"torch": "2.9.1"},
                "tools": {"ais_bench": "ais_bench 0.0.2"},
            },
        }
        folder = tmp_path / "runs" / str(len(list(tmp_path.glob("runs/*"))))
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps({**whole, **changes}))

    return write_one


def prose(guide: str) -> str:
    """The text of a guide without code, links, and what stands in brackets or ends in a colon's tag."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", guide, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`|<[^>]*>|\]\([^)]*\)", "", text)


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
        ("adnet", "denoising", "图像复原", "`Picture` 解码", "", "psnr (dB)、ssim"),
        ("lprnet", "plates", "文字识别", "`Ctc` 解码", "blank last, layout NCT", "exact (%)、cer (%)"),
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


@pytest.fixture
def network(write, tiny_zoo, monkeypatch) -> Callable[..., str]:
    """The guide of the tiny network whose forward is `body`; outputs have been measured by nobody."""
    monkeypatch.syspath_prepend(tiny_zoo)
    for name in [name for name in sys.modules if name.split(".")[0] == "tiny_zoo"]:
        del sys.modules[name]

    def call(body: str, check: int = 0) -> str:
        source = f"from tiny_zoo.net import Tiny\n\n\nclass Net(Tiny):\n    def forward(self, image):\n        {body}\n"
        (tiny_zoo / "tiny_zoo" / "hooks.py").write_text(source)
        named = "model.network._target_=tiny_zoo.hooks.Net"
        return write("--config-dir=conf", "allow=[tiny_zoo]", "model=tiny", named, "lang=en", check=check)

    return call


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import sys; sys.exit(2)", "SystemExit: 2"),
        ("import os; os._exit(2)", "os._exit(2)"),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("raise type('Mine', (KeyboardInterrupt,), {})('stop')", "Mine: stop"),
    ],
)
def test_a_network_that_ends_the_program_is_named_with_its_line(body, told, network) -> None:
    printed = network(body, check=1)
    assert told in printed and "hooks.py:6" in printed
    assert "Traceback" not in printed


def test_a_network_that_needs_values_leaves_its_outputs_unknown(network) -> None:
    assert "| class | known once exported |" in network("return image.numpy()")


def test_what_a_network_prints_is_no_part_of_the_guide(network) -> None:
    assert network("print('hello'); return super().forward(image)").startswith("# tiny")


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


@pytest.mark.parametrize("model", ["dcgan", "dpn131", "dqn", "moco_v2", "pnasnet5large"])
def test_a_chinese_guide_has_no_english_sentence(write, model: str) -> None:
    assert not re.findall(r"[a-z]+(?:,? [a-z]+){3,}", prose(write(f"model={model}")), re.IGNORECASE)


@pytest.mark.parametrize("path", sorted((options.CONF / "model").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_text_of_a_model_is_there_in_chinese(path) -> None:
    model = options.read(path)
    published = {**(model.get("checkpoint") or {}), **(model.get("onnx") or {})}
    texts = [model.get("about"), model.get("batch_dependent"), published.get("where"), published.get("made_by")]
    deviations = model.get("deviations") or []
    texts += deviations if isinstance(deviations, list) else []
    for text in texts:
        is_address = isinstance(text, str) and text.startswith("http") and " " not in text
        assert text is None or is_address or re.search("[\u4e00-\u9fff]", text["zh"]), text


def test_the_file_that_it_is_made_from_is_the_users_own_where_it_lies_in_a_folder_of_theirs(write, tmp_path) -> None:
    (tmp_path / "zoo_conf" / "model").mkdir(parents=True)
    text = (groups.CONF / "model" / "dcgan.yaml").read_text()
    (tmp_path / "zoo_conf" / "model" / "small.yaml").write_text(text.replace("name: dcgan", "name: small"))
    assert "`zoo_conf/model/small.yaml`" in write("--config-dir", "zoo_conf", "model=small")
    assert "`conf/model/dcgan.yaml`" in write("model=dcgan")


@pytest.mark.parametrize("typed", [("model=dqn", "model=dcgan"), ("model=dcgan.yaml",)])
def test_the_file_that_it_is_made_from_is_that_of_the_model_that_a_run_would_take(typed, write) -> None:
    assert "`conf/model/dcgan.yaml`" in write(*typed)


def test_the_last_of_several_batch_sizes_and_languages_counts(write) -> None:
    text = write("model=dcgan", "batch=1", "lang=zh", "batch=4", "lang=en")
    assert "# dcgan: inference guide" in text
    assert "batch=4" in text and "batch=1" not in text


def test_every_block_of_code_is_one_for_any_renderer(write) -> None:
    text = write("model=moco_v2")
    assert len(MarkdownIt().parse(text)) > 0
    fences = [token for token in MarkdownIt().parse(text) if token.type == "fence"]
    assert len(fences) == text.count("\n```") / 2
    assert all(token.level == 0 for token in fences)
    assert not re.search(r"^ +```", text, re.MULTILINE)


def test_what_a_reader_of_the_originals_looks_for_is_there(write) -> None:
    text = write("model=dpn131")
    for part in (
        "论文：<https://arxiv.org/abs/1707.01629>",
        "commit_id=0a4df4f3fe46b81e94bf9cc9ee5d9bebee6b9ec5",
        "| 固件与驱动 | 22.0.3 |",
        "| CANN | 6.0.RC1 |",
        "[imagenet](https://www.image-net.org)",
        "npu-smi info\nchip_name=310P3",
        "| 0       310P3     | OK ",
        "--soc_version=Ascend${chip_name}",
        "- `--soc_version`：处理器型号。",
        "- `--batchsize`：模型的 batch",
        "运行成功后生成 `dpn131_bs${bs}.om`",
        "推理后的输出在 `result/bs${bs}/infer` 下",
        "下降在 1% 以内即为达标",
    ):
        assert part in text, part


def test_outputs_are_told_with_shapes_and_types_before_any_run(write) -> None:
    assert "| output | FLOAT32 | batchsize x 4 | ND |" in write("model=dqn")
    assert "| image | FLOAT32 | batchsize x 1 x 32 x 32 | NCHW |" in write("model=dcgan")


def test_inputs_are_told_with_shapes_and_types(write) -> None:
    assert "| noise | FLOAT32 | batchsize x 100 x 1 x 1 | NCHW |" in write("model=dcgan")


def test_one_command_serves_every_batch_size(write) -> None:
    text = write("model=dcgan", "batch=1,24")
    assert "python -m runner -m model=dcgan soc=310P3 batch=1,24" in text
    assert "bs=1\n" in text
    assert "--output=dcgan_bs${bs} --input_format=NCHW --input_shape=noise:${bs},100,1,1" in text
    assert text.count("\natc ") == 1
    assert text.count("python3 -m ais_bench") == 2


def test_another_soc_has_the_commands_of_its_tool(write) -> None:
    assert "trtexec --onnx=dqn.onnx" in write("model=dqn", "soc=t4")


def test_a_tool_in_process_needs_no_commands(write) -> None:
    text = write("model=dcgan", "soc=cpu", "lang=en")
    assert "onnxruntime loads ONNX itself; there is nothing to compile." in text
    assert "The command above infers, with onnxruntime." in text


def test_a_data_set_of_pictures_needs_a_folder(write) -> None:
    text = write("model=moco_v2", "lang=en")
    assert "\ndataset_root=/path/to/imagenet\n" in text
    assert '"dataset.root=${dataset_root}"' in text
    assert "Resize: shorter side to 256 pixels, bicubic" in text
    assert "${dataset_root}" not in write("model=moco_v2", "lang=en", "dataset.root=/data/imagenet")


def test_the_batch_sizes_are_the_published_ones_unless_named(write) -> None:
    assert "batch=1,4,8,16,32\n" in write("model=dcgan")


def test_the_geometry_of_pictures_is_told(write) -> None:
    text = write("model=yolov5n", "dataset=coco", "lang=en", "batch=1")
    assert "Resize to fit into 640 x 640 pixels, keeping the ratio" in text
    assert "Pad with 114 to 640 x 640 pixels, the picture in the centre" in text
    tiled = ["model.preprocess.tile=[64,64]", "model.preprocess.overlap=8", "model.preprocess.multiple=4"]
    text = write("model=adnet", "dataset=denoising", "lang=en", "batch=1", *tiled)
    for line in ("Not resized", "Cut into tiles of 64 x 64 pixels that overlap by at least 8", "Channels: GREY"):
        assert line in text
    assert "to a multiple of 4 pixels" in text


def test_free_sizes_are_told_with_the_command_that_compiles_for_them(write) -> None:
    text = write("model=adnet", "dataset=denoising", "lang=en", "batch=1")
    assert "| image | FLOAT32 | batchsize x 1 x any x any | NCHW |" in text
    assert "compiled for all its samples' shapes (gears, 2 to 100)" in text
    assert "--input_shape=image:${bs},1,-1,-1 --dynamic_image_size=" in text
    assert "gears" not in write("model=adnet", "dataset=denoising", "lang=en", "batch=1", "soc=cpu")


def test_an_outside_onnx_is_told_with_its_source_and_reference(write) -> None:
    text = write("model=ppocrv4_det", "dataset=icdar2015", "lang=en", "batch=1", "model.onnx.sha256=ab12")
    assert "#### Get the ONNX file" in text
    assert "is part of the Python package `rapidocr_onnxruntime`, and its SHA-256 is checked (ab12)" in text
    assert "The file was made by paddle2onnx" in text
    assert "cut at the outputs `sigmoid_0.tmp_0`" in text
    assert "with those of ONNX Runtime without optimisation" in text


def test_a_batch_dependent_model_is_told_with_the_reason(write) -> None:
    text = write("model=lprnet", "dataset=plates", "lang=en", "batch=1")
    assert "depend on the batch that it is in (divides by means over the whole batch)" in text


def test_the_weights_source_is_told(write) -> None:
    told = write("model=dpn131", "lang=en")
    assert "no `checkpoints/dpn131-7af84be88.pth`, the first run fetches <http://data.lip6.fr/" in told
    assert "Get it there: dqn.pth is part of the guide's source package" in write("model=dqn", "lang=en")
    assert "获取方式：dqn.pth 在原指导的源码包中" in write("model=dqn")


def test_what_deviates_from_the_original_guide_is_told_in_the_language(write) -> None:
    assert "onnxsim is given the shape of the batch" in write("model=dcgan", "lang=en")
    assert "onnxsim 使用各 batch 的形状" in write("model=dcgan")


def test_a_tool_that_stands_in_for_the_original_guides_is_told(write) -> None:
    assert "- 推理和性能测试使用 ais\\_bench，代替原指导的 benchmark" in write("model=moco_v2")
    assert "代替原指导的" not in write("model=moco_v2", "tool=benchmark")


def test_the_published_figures_stand_with_each_source_once(write) -> None:
    text = write("model=moco_v2", "lang=en")
    assert "| bs1 | 1604.24 | 1371.17 | 915.82 | 0.85 | 1.50 |" in text
    assert "Source: MoCo v2 guide, section 6.2 and table 7.1, <https" in text
    assert "来源：MoCo v2 指导，6.2 节和表 7.1" in write("model=moco_v2")


def test_no_row_or_column_of_the_published_figures_is_empty(write) -> None:
    accuracy = write("model=moco_v2").split("### 精度对比")[1]
    assert re.findall(r"^\| (?:310|t4).*", accuracy, re.MULTILINE) == [
        "| 310 | bs32 | 67.31 | 87.82 |",
        "| 310P3 | bs32 | 67.28 | 87.82 |",
    ]


def test_a_misprint_is_marked_and_never_the_best(write) -> None:
    text = write("model=resnet50_dino", "lang=en")
    assert "| bs64 | 2244.00 | 87537.00 † | 2090.00 |  |  |" in text
    assert "| best batch | 2441.20 | 1378.70 |" in text


def test_what_was_measured_stands_beside_the_published(write, write_result) -> None:
    write_result()
    text = write("model=dcgan", "--results", "runs")
    assert "| bs1 | 15146.50 | 7573.25 | 2.00 | 0.066 | 0.080 |" in text
    assert "| bs1 | 99.50 | 100.00 | 达标 |" in text
    assert "| Python | 3.11.9 | 3.7.5 |" in text
    assert "| ais_bench | 0.0.2 |" in text


def test_nothing_of_the_machine_is_told(write, write_result) -> None:
    write_result()
    text = write("model=dcgan", "--results", "runs")
    assert not re.search("kunpeng-7|openEuler|EPYC|/work/|/tmp/", text)


@pytest.mark.parametrize(
    "changes",
    [
        {"soc": "cpu", "tool": "onnxruntime"},
        {"tool": "ais_infer"},
        {"weights": {"origin": "random"}},
        {"stand_in": "synthetic pictures"},
        {"limit": 16},
        {"status": "failed"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_no_measurement_of_the_model_on_the_soc_does_not_stand(write, write_result, changes) -> None:
    write_result(**changes)
    text = write("model=dcgan", "--results", "runs")
    assert "尚无可用的实测数据" in text
    assert "15146.50" not in text


def test_a_measurement_that_is_not_valid_does_not_stand(write, write_result) -> None:
    write_result(performance={"samples_per_second": 15146.5, "valid": False, "reasons": ["device busy"]})
    text = write("model=dcgan", "--results", "runs")
    assert "15146.50" not in text
    assert "| bs1 | 99.50 | 100.00 | 达标 |" in text


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
        (("model=dcgan", "stages=[export]"), "a guide tells all"),
        (("model=dcgan", "tool=trtexec"), "tool=trtexec does not serve soc=310P3"),
        (("model=lprnet", "dataset=imagenet"), "is for recognition, and dataset=imagenet for image_classification"),
        (("model=dcgan", "--results", "nowhere"), "--results nowhere does not exist"),
        (("model=dcgan", "--out", "/proc/guide.md"), "cannot be written"),
        (("model=dcgan", "--out", "."), ". cannot be written: it is a folder"),
        (("model=dcgan", "soc=cpu", "--script", "run.sh"), "which runs in the runner's process"),
        (("model=adnet", "dataset=denoising", "--script", "run.sh"), "which is called once a size of samples"),
    ],
)
def test_what_cannot_be_is_an_error_without_a_traceback(write, arguments: tuple[str, ...], told: str) -> None:
    assert told in write(*arguments, check=1)
