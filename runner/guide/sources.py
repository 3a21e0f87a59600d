"""Where published figures are from, in the guide's language. Pure."""

# ruff: noqa: RUF001 (Chinese has its own punctuation)

from __future__ import annotations

import re
from collections.abc import Sequence

from runner.config.schema import PublishedConfig

_BATCH = re.compile(r",? (?:bs|batch )\d+$", re.IGNORECASE)
_IN_CHINESE = (
    (r"^(.*?) guide, ", r"\1 指导，"),
    (r"^README of the repository", "参考实现的 README"),
    (r"^README of the (\S+) release", r"\1 版的 README"),
    (r"README at tag (\S+)", r"标签 \1 的 README"),
    (r"output of (\S+)", r"\1 的输出"),
    (r"_metrics of its weights (\S+?)(?=,|$)", r"权重 \1 的 _metrics"),
    (r"^figures given with (\S+) for its (\d+) test pictures", r"随 \1 给出的 \2 张测试图的数据"),
    (r"(\S+)'s (\d+) test pictures", r"\1 的 \2 张测试图"),
    (r" paper \((\S+)\)", r" 论文（\1）"),
    (r" ?\(single model, single scale\)", "（单模型、单尺度）"),
    (r"single scale", "单尺度"),
    (r" ?\(same in (\S+), (\S+)\)", r"（\1、\2 相同）"),
    (r" ?\((\w+) column\)|, column (\w+)", r"（\1\2 列）"),
    (r" ?\((\S+) times four\)", r"（\1 的四倍）"),
    (r" on (COCO|Cityscapes)", r"，\1"),
    (r"tables? of (?:performance and accuracy|accuracy and performance)", "性能与精度表"),
    (r"(?<!of )accuracy and table of performance", "精度及性能表"),
    (r"table of performance", "性能表"),
    (r"table of accuracy", "精度表"),
    (r"table of other configurations", "其他配置表"),
    (r"table of detection models", "检测模型表"),
    (r"table of pretrained checkpoints", "预训练权重表"),
    (r"table of segmentation", "分割表"),
    (r"table of OM results on 300I DUO", "300I DUO 的 OM 结果表"),
    (r" ?\(of no named chip\)", "（未注明芯片）"),
    (r" ?\(no batch said\)", "（未注明 batch）"),
    (r" ?\(input (\S+)\)", r"（输入 \1）"),
    (r" ?\(NMS by script\)", "（脚本做 NMS）"),
    (r" ?\((\S+) ms a picture, inverted\)", r"（由每张 \1 ms 换算）"),
    (r"section ([\d.]+)", r"\1 节"),
    (r"tables (\d+) and (\d+)", r"表 \1 和表 \2"),
    (r"table ([\d.]+)", r"表 \1"),
    (r" and ", "和"),
    (r", ", "，"),
)
"""Patterns of sources and their Chinese, in the order of their use; what none matches stays as it is."""


def places(published: Sequence[PublishedConfig], language: str) -> list[str]:
    """Return where the published figures are from, each place once and without the batch size."""
    named = list(dict.fromkeys(_BATCH.sub("", row.source) for row in published))
    told = [place for place in named if not any(place != other and _is_part(place, other) for other in named)]
    return [_in_chinese(place) for place in told] if language == "zh" else told


def _is_part(place: str, other: str) -> bool:
    """Return whether a place, "NAME guide, table 1", is named by another, "NAME guide, tables 1 and 2"."""
    name, _, where = place.partition(", ")
    other_name, _, others = other.partition(", ")
    numbers = re.findall(r"(?:tables?|section) [\d.]+(?: and [\d.]+)?", others)
    listed = {f"{part.split()[0].rstrip('s')} {number}" for part in numbers for number in re.findall(r"[\d.]+", part)}
    return name == other_name and where in {*others.split(" and "), *listed}


def _in_chinese(place: str) -> str:
    for pattern, replacement in _IN_CHINESE:
        place = re.sub(pattern, replacement, place)
    return place
