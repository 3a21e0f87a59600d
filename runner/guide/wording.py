"""The text of a guide in Chinese and in English, with the same keys."""

# ruff: noqa: RUF001 (Chinese has its own punctuation)

from __future__ import annotations

from collections.abc import Mapping

ZH = {
    "page": """\
# {name} 模型-推理指导

- [概述](#overview)
  - [输入输出数据](#data)
- [推理环境准备](#environment)
- [快速上手](#quickstart)
  - [获取源码](#source)
  - [准备数据集](#dataset)
  - [模型推理](#inference)
- [模型推理性能&精度](#results)

# 概述<a name="overview"></a>

{name} 用于{task}。本指导由模型的配置文件 `conf/model/{name}.yaml`、运行计划中的命令和已有的运行结果生成。

- 参考实现：

{reference}

## 输入输出数据<a name="data"></a>

- 输入数据

{inputs}

- 输出数据

{outputs}

# 推理环境准备<a name="environment"></a>

- {environment_of}

  **表 1** 版本配套表

{environment}

# 快速上手<a name="quickstart"></a>

## 获取源码<a name="source"></a>

1. 获取本项目源码，并进入其目录。

2. 安装依赖。

{install}

3. 查看将要执行的各个阶段和全部外部命令，不实际执行。

{dry_run}

## 准备数据集<a name="dataset"></a>

1. 获取原始数据集。

   {dataset}

2. 数据预处理。预处理后的样本由所有 batch、芯片和推理工具共用，只做一次。

{preprocess}

{prepare}

## 模型推理<a name="inference"></a>

一条命令完成下述全部步骤，并与公布的数据比较；已经完成的步骤不会重做：

{run}

各步骤如下。

1. 模型转换。

   1. {get_weights}

      {weights}

   2. {make_onnx}

      {export}

   3. 转换为推理工具加载的模型。

{compile}

2. 推理验证与性能验证。

{infer}

3. 精度验证。

   {score}

{deviations}# 模型推理性能&精度<a name="results"></a>

{results}
{published}""",
    "environment_measured": "下列版本取自最近一次运行",
    "environment_here": "尚无运行结果，下列版本为生成本指导的机器上所安装的",
    "component": "配套",
    "version": "版本",
    "input": "输入数据",
    "output": "输出数据",
    "dtype": "数据类型",
    "shape": "大小",
    "layout": "数据排布格式",
    "shape_unknown": "导出后可知",
    "any_size": "任意",
    "folder": "使用 `{dataset}` 数据集：{layout}。以 `dataset.root=DIR` 指定其目录。",
    "folder_other": "目录内容见读取器 `{reader}` 的说明",
    "folder_ImageFolder": (
        "图片放在 `DIR/val/` 下，标签文件 `val_label.txt` 放在 `DIR` 下；也可以是图片目录本身或按类别分的目录"
    ),
    "folder_Coco": "标注为 `DIR/annotations/instances_val2017.json`，图片放在 `DIR/val2017/` 下",
    "folder_Voc": "`DIR/JPEGImages/`、`DIR/Annotations/` 和列表 `DIR/ImageSets/Main/{split}.txt`",
    "folder_PictureMaps": "图片放在 `DIR/{pictures}/` 下，同名标签图放在 `DIR/{labels}/` 下",
    "folder_NoisyPictures": "`DIR` 下为无噪声的图片，读取时加入标准差为 {sigma:g}（0 到 255 的像素值）的高斯噪声",
    "folder_PicturePairs": "网络的输入放在 `DIR/{inputs}/` 下，放大 {factor} 倍的同名真值放在 `DIR/{targets}/` 下",
    "folder_ShrunkPictures": "`DIR` 下为大图，读取时用双三次插值缩小 {factor} 倍作为输入",
    "folder_Words": "图片放在 `DIR` 或 `DIR/pictures/` 下，列表 `DIR/labels.txt` 每行为图片名和文字",
    "folder_Icdar": "图片放在 `DIR/{pictures}/` 下，每张图片的标注为 `DIR/{words}/gt_图片名.txt`",
    "folder_ArrayFolder": "每个输入对应一个数组文件 `DIR/输入名.npy`",
    "generated": "使用 `{dataset}` 数据集：样本由程序生成，无需下载原始数据集{count}。",
    "count": "，默认 {count} 个样本",
    "resize": "缩放：短边到 {resize} 像素，插值方式 {interpolation}",
    "crop": "中心裁剪：{crop} x {crop} 像素",
    "cover": "缩放到恰好覆盖 {size} 像素并裁剪中心，插值方式 {interpolation}",
    "stretch": "缩放到 {size} 像素（不保持长宽比），插值方式 {interpolation}",
    "inside": "保持长宽比缩放到 {size} 像素以内，插值方式 {interpolation}",
    "unresized": "不缩放",
    "tile": "切成 {tile} 像素的块，至少重叠 {overlap} 像素",
    "pad": "以 {value} 填充到 {size}，图片位于{place}",
    "pad_multiple": "{multiple} 的倍数",
    "pad_pixels": "{size} 像素",
    "pad_centre": "中心",
    "pad_corner": "左上角",
    "channels": "通道顺序：{channels}",
    "normalise": "归一化：(值 x {scale} - 均值 {mean}) / 标准差 {std}",
    "as_is": "样本不经变换直接作为输入",
    "weights_url": "若 `checkpoints/{file}` 不存在，首次运行时自动从 <{url}> 下载到缓存目录{digest}。",
    "weights_where": "获取方式：{where}。放到 `checkpoints/{file}`{digest}，或以 `weights=路径` 指定。",
    "weights_package": "`{file}` 随 Python 包 `{package}` 提供{digest}：{where}。",
    "made_by": "该文件由 {made_by} 生成。",
    "get_weights": "获取权重文件。",
    "get_onnx": "获取 ONNX 文件。",
    "make_onnx": "导出 ONNX 文件。",
    "cut_onnx": "检查 ONNX 文件。",
    "digest": "，并校验 SHA-256（{sha256}）",
    "cut_fixed": "文件按原样使用，batch 固定，在输出 {outputs} 处截断",
    "cut_free": "文件按原样使用，batch 维为动态，在输出 {outputs} 处截断",
    "export_fixed": "opset {opset}，每个 batch 单独导出",
    "export_free": "opset {opset}，batch 维为动态，只导出一次",
    "simplified_fixed": "再用 onnxsim 简化，写入固定的 batch",
    "simplified": "再用 onnxsim 简化",
    "surgery": "并对图做如下修改：{surgery}",
    "join_sentences": "",
    "join": "；",
    "end": "。",
    "no_compiler": "{tool} 直接加载 ONNX，无需转换。",
    "no_commands": "{tool} 在本程序的进程内运行，没有外部命令。",
    "batch": "batch 为 {batch} 时：",
    "gears": (
        "输入尺寸随样本而变：数据预处理完成后，模型按样本的全部尺寸（档位，2 到 100 个）编译，"
        "推理时逐档调用。下列命令中的 -1 代表这些尺寸。"
    ),
    "decode": "输出由 `{decoder}` 解码{arguments}。",
    "decode_arguments": "（{arguments}）",
    "score_labels": "结果与标签比较，得到 {metrics}；同时抽取样本与{reference}比较，并给出后者在这些样本上的精度。",
    "score_reference": "没有标签：输出与相同样本上{reference}比较，得到 {metrics}。",
    "reference_network": " PyTorch 的 float32 输出",
    "reference_onnx": "未优化的 ONNX Runtime 的输出",
    "batch_dependent": (
        "一个样本的输出取决于它所在的 batch（{reason}），因此按相同的 batch 与{reference}比较；"
        "不同 batch 之间的差异只报告，不判为失败。"
    ),
    "deviations": "与原指导的不同之处（英文，取自配置文件）：",
    "no_results": "尚无该模型的运行结果；运行上述命令后重新生成本指导。\n",
    "measured": "实测数据：{title}",
    "performance": "性能对比",
    "accuracy": "精度对比",
    "throughput": "Throughput",
    "best": "最优batch",
    "published_title": "公布的数据",
    "sources": "来源：",
    "random weights": "随机权重",
    "weights from a file": "来自文件的权重",
    "published weights": "公布的权重",
    "measured/published": "实测/公布",
    "published": "公布值",
    "mean latency": "平均时延",
    "load time": "加载时间",
    "first call": "首次推理",
    "peak memory": "峰值内存",
    "not compared with what is published": "未与公布值比较",
    "not a valid measurement": "测量无效",
    "by PyTorch": "（PyTorch）",
    "by ONNX Runtime without optimisation": "（未优化的 ONNX Runtime）",
}

EN = {
    "page": """\
# {name}: inference guide

- [Overview](#overview)
  - [Input and output data](#data)
- [Preparing the environment](#environment)
- [Quick start](#quickstart)
  - [Getting the source](#source)
  - [Preparing the data set](#dataset)
  - [Inference](#inference)
- [Performance and accuracy](#results)

# Overview<a name="overview"></a>

{name} is a model for {task}. This guide is made from the model's file `conf/model/{name}.yaml`, the commands of the
plan, and the results at hand.

- Reference implementation:

{reference}

## Input and output data<a name="data"></a>

- Inputs

{inputs}

- Outputs

{outputs}

# Preparing the environment<a name="environment"></a>

- {environment_of}

  **Table 1** Versions

{environment}

# Quick start<a name="quickstart"></a>

## Getting the source<a name="source"></a>

1. Get this project's source and change into its folder.

2. Install it with what it needs.

{install}

3. See the stages and every external command without running any.

{dry_run}

## Preparing the data set<a name="dataset"></a>

1. Get the data set.

   {dataset}

2. Preprocess it. Prepared samples serve every batch size, chip and tool, and are made once.

{preprocess}

{prepare}

## Inference<a name="inference"></a>

One command does all of the steps below and compares with the published figures; what is done is not done again:

{run}

The steps are these.

1. Convert the model.

   1. {get_weights}

      {weights}

   2. {make_onnx}

      {export}

   3. Compile it for the inference tool.

{compile}

2. Infer and measure.

{infer}

3. Check the accuracy.

   {score}

{deviations}# Performance and accuracy<a name="results"></a>

{results}
{published}""",
    "environment_measured": "The versions of the latest run",
    "environment_here": "There is no run yet; these versions are installed where this guide was made",
    "component": "Component",
    "version": "Version",
    "input": "Input",
    "output": "Output",
    "dtype": "Data type",
    "shape": "Size",
    "layout": "Layout",
    "shape_unknown": "known once exported",
    "any_size": "any",
    "folder": "The data set is `{dataset}`: {layout}. Name its folder with `dataset.root=DIR`.",
    "folder_other": "in the folder is what the reader `{reader}` asks for",
    "folder_ImageFolder": (
        "pictures in `DIR/val/` and their labels in `DIR/val_label.txt`; the folder of pictures itself, or a folder for"
        " each class, will do too"
    ),
    "folder_Coco": "annotations in `DIR/annotations/instances_val2017.json` and pictures in `DIR/val2017/`",
    "folder_Voc": "`DIR/JPEGImages/`, `DIR/Annotations/` and the list `DIR/ImageSets/Main/{split}.txt`",
    "folder_PictureMaps": "pictures in `DIR/{pictures}/` and label maps of the same names in `DIR/{labels}/`",
    "folder_NoisyPictures": (
        "clean pictures in `DIR`, to which Gaussian noise is added; its standard deviation is {sigma:g} of 255"
    ),
    "folder_PicturePairs": (
        "what the network gets in `DIR/{inputs}/`, and the true pictures of the same names, {factor} times as large, in"
        " `DIR/{targets}/`"
    ),
    "folder_ShrunkPictures": "large pictures in `DIR`; the network gets them shrunk {factor} times by bicubic resizing",
    "folder_Words": "pictures in `DIR` or `DIR/pictures/`, and their names and texts, a line each, in `DIR/labels.txt`",
    "folder_Icdar": "pictures in `DIR/{pictures}/` and `DIR/{words}/gt_NAME.txt` for each",
    "folder_ArrayFolder": "`DIR/NAME.npy` for every input",
    "generated": "The data set is `{dataset}`: the samples are generated, there is nothing to download{count}.",
    "count": "; {count} samples by default",
    "resize": "Resize: shorter side to {resize} pixels, {interpolation}",
    "crop": "Crop: the centre, {crop} x {crop} pixels",
    "cover": "Resize to cover {size} pixels and cut out the centre, {interpolation}",
    "stretch": "Resize to {size} pixels without keeping the ratio, {interpolation}",
    "inside": "Resize to fit into {size} pixels, keeping the ratio, {interpolation}",
    "unresized": "Not resized",
    "tile": "Cut into tiles of {tile} pixels that overlap by at least {overlap}",
    "pad": "Pad with {value} to {size}, the picture in the {place}",
    "pad_multiple": "a multiple of {multiple} pixels",
    "pad_pixels": "{size} pixels",
    "pad_centre": "centre",
    "pad_corner": "top left corner",
    "channels": "Channels: {channels}",
    "normalise": "Normalise: (value x {scale} - mean {mean}) / standard deviation {std}",
    "as_is": "Samples are fed as they are",
    "weights_url": "Where there is no `checkpoints/{file}`, the first run fetches <{url}> into its cache{digest}.",
    "weights_where": "Get it there: {where}. Put it at `checkpoints/{file}`{digest}, or name it with `weights=PATH`.",
    "weights_package": "`{file}` is part of the Python package `{package}`{digest}: {where}.",
    "made_by": "The file was made by {made_by}.",
    "get_weights": "Get the weights.",
    "get_onnx": "Get the ONNX file.",
    "make_onnx": "Export the ONNX model.",
    "cut_onnx": "Check the ONNX model.",
    "digest": ", and its SHA-256 is checked ({sha256})",
    "cut_fixed": "The file is used as it is, with its fixed batch size, cut at the outputs {outputs}",
    "cut_free": "The file is used as it is, with a free batch axis, cut at the outputs {outputs}",
    "export_fixed": "Opset {opset}, exported anew for each batch size",
    "export_free": "Opset {opset}, exported once with a free batch axis",
    "simplified_fixed": "then simplified by onnxsim, which writes the batch size into it",
    "simplified": "then simplified by onnxsim",
    "surgery": "and the graph is changed by {surgery}",
    "join_sentences": " ",
    "join": "; ",
    "end": ".",
    "no_compiler": "{tool} loads ONNX itself; there is nothing to compile.",
    "no_commands": "{tool} runs in the runner's own process; there is no external command.",
    "batch": "For a batch size of {batch}:",
    "gears": (
        "Sizes of the inputs differ between samples: once the data set is prepared, the model is compiled for all its"
        " samples' shapes (gears, 2 to 100), and called for one after the other. In the commands -1 stands for these"
        " sizes."
    ),
    "decode": "The outputs are decoded by `{decoder}`{arguments}.",
    "decode_arguments": " ({arguments})",
    "score_labels": (
        "The results are compared with the labels: {metrics}; and the outputs of some samples with {reference}, whose"
        " own metrics on them are given too."
    ),
    "score_reference": "There are no labels: the outputs are compared with {reference}, by {metrics}.",
    "reference_network": "PyTorch's in float32",
    "reference_onnx": "those of ONNX Runtime without optimisation",
    "batch_dependent": (
        "A sample's outputs depend on the batch that it is in ({reason}): they are compared with {reference} in the"
        " same batches, and differences between batch sizes are reported and fail nothing."
    ),
    "deviations": "Where this differs from the original guide:",
    "no_results": "There is no result of this model yet; run the command above and make this guide again.\n",
    "measured": "Measured: {title}",
    "performance": "Performance",
    "accuracy": "Accuracy",
    "throughput": "Throughput",
    "best": "best batch",
    "published_title": "As published",
    "sources": "Source: ",
    "random weights": "random weights",
    "weights from a file": "weights from a file",
    "published weights": "published weights",
    "measured/published": "measured/published",
    "published": "published",
    "mean latency": "mean latency",
    "load time": "load time",
    "first call": "first call",
    "peak memory": "peak memory",
    "not compared with what is published": "not compared with what is published",
    "not a valid measurement": "not a valid measurement",
    "by PyTorch": "by PyTorch",
    "by ONNX Runtime without optimisation": "by ONNX Runtime without optimisation",
}

TASKS_ZH = {
    "image_classification": "图像分类",
    "image_generation": "图像生成",
    "reinforcement_learning": "强化学习",
    "detection": "目标检测",
    "segmentation": "语义分割",
    "restoration": "图像复原",
    "recognition": "文字识别",
    "ocr_detection": "文字检测",
}
TRANSLATED = (
    "not compared with what is published",
    "not a valid measurement",
    "measured/published",
    "published weights",
    "random weights",
    "weights from a file",
    "mean latency",
    "load time",
    "first call",
    "peak memory",
    "published",
    "by PyTorch",
    "by ONNX Runtime without optimisation",
)
"""Phrases of tables to translate, longer ones before those they contain."""
LANGUAGES: Mapping[str, Mapping[str, str]] = {"zh": ZH, "en": EN}
