"""References that a stranger's file may hold."""

import pytest

from runner.config import references


def objections(group: str, content: object) -> list[str]:
    """The keys whose references are refused."""
    return list(dict.fromkeys(key for key, _, _ in references.beyond({"x": content}, group)))


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("model", "${model.arch}"),
        ("model", "http://host/${ model.arch }.pth and ${batch.size}"),
        ("model", "${soc.name}"),
        ("model", "${seed}"),
        ("model", "${.y}"),
        ("dataset", "${dataset.root}"),
        ("tool", "${tool.python}"),
        ("dataset", "${model.network.scale}"),
        ("model", "costs $5 {each}"),
    ],
)
def test_plain_references_to_its_own_group_and_to_open_values_are_taken(group: str, text: str) -> None:
    assert objections(group, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "${oc.env:HOME}",
        "http://host/${oc.env:AWS_SECRET_ACCESS_KEY}",
        "${oc.decode:'[1]'}",
        "${oc.create:{a: 1}}",
        "${oc.select:model.name,${oc.env:HOME}}",
        "${hydra:runtime.cwd}",
        "${now:%Y}",
        "${library:timm,resnet18,url}",
        "${os.system:ls}",
        "${${oc.env:HOME}}",
        "${model.${oc.env:HOME}}",
        "${model[name]}",
        "${ oc.env : HOME }",
        "\\${oc.env:HOME}",
        "\\\\${oc.env:HOME}",
        "${model.name}${oc.env:HOME}",
        "${",
        "${}",
        "${hydra.runtime.cwd}",
        "${cache_dir}",
        "${weights}",
        "${compiled}",
        "${dataset.root}",
        "${dataset}",
        "${tool.python}",
        "${..seed}",
        "${...dataset.root}",
    ],
)
def test_anything_else_is_not(text: str) -> None:
    assert objections("model", text) == ["model.x"]


def test_a_relative_reference_stays_in_its_group() -> None:
    deep = {"url": "${..name}", "out": "${...weights}", "far": "${....weights}"}
    assert objections("model", deep) == ["model.x.out", "model.x.far"]


def test_references_are_found_in_lists_and_in_the_defaults() -> None:
    content = {"defaults": [{"override /dataset@_global_.dataset": "${oc.env:HOME}"}], "inputs": ["${oc.env:HOME}"]}
    assert [key for key, _, _ in references.beyond(content, "model")] == [
        "model.defaults.0.override /dataset@_global_.dataset",
        "model.inputs.0",
    ]
