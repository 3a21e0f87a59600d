# ruff: noqa: RUF001 (Chinese has its own punctuation)

import pytest

from runner.config.schema import PublishedConfig
from runner.guide import sources


def published(*named: str) -> list[PublishedConfig]:
    return [PublishedConfig(soc="310P3", batch=1, source=source) for source in named]


@pytest.mark.parametrize(
    ("source", "chinese"),
    [
        ("MoCo v2 guide, table 7.1, bs16", "MoCo v2 指导，表 7.1"),
        ("README of the v6.1 release, YOLOv5n on COCO val2017", "v6.1 版的 README，YOLOv5n，COCO val2017"),
        (
            "SegFormer paper (arXiv:2105.15203), table 1, MiT-B0 on Cityscapes val, single scale",
            "SegFormer 论文（arXiv:2105.15203），表 1，MiT-B0，Cityscapes val，单尺度",
        ),
    ],
)
def test_a_source_is_told_in_chinese_without_its_batch(source: str, chinese: str) -> None:
    assert sources.places(published(source), "zh") == [chinese]


def test_a_table_that_another_source_names_too_is_told_once() -> None:
    named = published("A guide, tables 1 and 2", "A guide, table 1", "A guide, tables 1 and 2")
    assert sources.places(named, "en") == ["A guide, tables 1 and 2"]
