"""What the parameters of the programs in a guide mean, and what npu-smi shows, in Chinese and in English. Pure."""

# ruff: noqa: RUF001 (Chinese has its own punctuation)

from __future__ import annotations

from collections.abc import Sequence

_LANGUAGES = ("zh", "en")
_ATC = {
    "--model": ("ONNX 模型文件。", "the ONNX model."),
    "--framework": ("5 代表 ONNX 模型。", "5 is ONNX."),
    "--output": ("输出的 OM 模型，不含后缀 .om。", "the OM to write, without .om."),
    "--input_format": ("输入数据的格式。", "the layout of the inputs."),
    "--input_shape": ("输入数据的 shape。", "the shapes of the inputs."),
    "--log": ("日志级别。", "the level of the log."),
    "--soc_version": ("处理器型号。", "the chip."),
    "--insert_op_conf": ("AIPP 配置文件，由卡做归一化。", "the AIPP file, by which the card normalises."),
    "--enable_small_channel": ("对 1 到 4 通道的首层卷积做优化。", "optimise a first convolution of 1 to 4 channels."),
    "--precision_mode": ("精度模式。", "the mode of precision."),
    "--op_select_implmode": ("算子选择高精度还是高性能实现。", "whether operators are precise or fast."),
    "--optypelist_for_implmode": ("上述选择所适用的算子。", "the operators for which that holds."),
    "--out_nodes": ("输出节点。", "the output nodes."),
    "--output_type": ("输出的数据类型。", "the data type of the outputs."),
    "--dynamic_image_size": ("动态分辨率的各档。", "the sizes of pictures to compile for."),
    "--dynamic_dims": ("动态维度的各档。", "the sizes to compile for."),
}
_AIS = {
    "--model": ("需要推理的 OM 模型。", "the OM."),
    "--input": ("输入的 bin 文件目录，多个输入以逗号分隔。", "the folders of the input files, one an input."),
    "--output": ("推理结果输出路径。", "where the results go."),
    "--output_dirname": ("输出路径下的子目录。", "the folder there."),
    "--outfmt": ("输出数据的格式。", "the format of the outputs."),
    "--batchsize": (
        "模型的 batch，用于计算吞吐率，须与模型一致。",
        "the OM's batch size, by which the throughput is computed.",
    ),
    "--device": ("NPU 设备编号，取值范围为 0 到 255。", "the device, 0 to 255."),
    "--loop": ("推理次数。", "how many times it infers."),
    "--warmup_count": ("计时之前的推理次数。", "how many times before it measures."),
}
_PROGRAMS = {
    "atc": _ATC,
    "ais_bench": _AIS,
    "ais_infer": _AIS,
    "benchmark": {
        "-model_type": ("模型类型。", "the kind of model."),
        "-batch_size": ("模型的 batch。", "the OM's batch size."),
        "-device_id": ("NPU 设备编号。", "the device."),
        "-input_text_path": ("样本清单：编号、路径、宽、高。", "the list of samples: number, path, width, height."),
        "-input_width": ("输入宽度。", "the width of the input."),
        "-input_height": ("输入高度。", "the height of the input."),
        "-om_path": ("OM 模型。", "the OM."),
        "-useDvpp": ("是否用 DVPP 解码图片。", "whether DVPP decodes pictures."),
        "-output_binary": ("输出是否为二进制文件。", "whether outputs are binary."),
        "-round": ("纯推理的次数。", "how many times it infers, on data of its own."),
    },
    "trtexec": {
        "--onnx": ("ONNX 模型文件。", "the ONNX model."),
        "--fp16": ("允许 float16。", "allow float16."),
        "--shapes": ("输入数据的 shape。", "the shapes of the inputs."),
        "--saveEngine": ("输出的引擎文件。", "the engine to write."),
        "--loadEngine": ("引擎文件。", "the engine."),
        "--device": ("GPU 编号。", "the GPU."),
        "--warmUp": ("计时之前的毫秒数。", "milliseconds before it measures."),
        "--duration": ("至少测量的秒数。", "seconds that it measures at least."),
        "--iterations": ("至少推理的次数。", "how many times it infers at least."),
        "--exportTimes": ("各次时延的输出文件。", "the file of the latencies."),
    },
}
"""Program -> flag -> what it means in each of _LANGUAGES, from the guides and the user guides of atc and trtexec."""
NPU_SMI = """\
+-------------------+-----------------+------------------------------------------------------+
| NPU     Name      | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device    | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===================+=================+======================================================+
| 0       {chip:<9} | OK              | 15.8         42                0    / 0              |
| 0       0         | 0000:82:00.0    | 0            1074 / 21534                            |
+===================+=================+======================================================+"""
"""What npu-smi info shows, as in the guides."""


def meanings(program: str, lines: Sequence[str], language: str) -> dict[str, str]:
    """Return the flags of a program that stand in shell lines, in their order, and what the known ones mean."""
    known, place = _PROGRAMS.get(program, {}), _LANGUAGES.index(language)
    return {flag: known[flag][place] for flag in _flags(lines, program) if flag in known}


def _flags(lines: Sequence[str], program: str) -> dict[str, None]:
    words = (word for line in lines if program in line for word in line.split())
    return dict.fromkeys(word.partition("=")[0] for word in words if word.startswith("-"))
