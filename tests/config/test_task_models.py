"""The models of conf/model whose task decodes outputs: decoder, data set and figures belong to the model."""

from functools import cache

import numpy as np
import pytest
import torch

from runner.config import compose, groups, libraries, loading, options, targets
from runner.data import Row, place
from runner.networks.network import named_outputs
from runner.pipeline.setup import Setup
from runner.tasks.kinds import TASKS
from runner.tasks.metrics import metric_of

PICTURE = (96, 128)
"""[height, width] of a picture for networks that take any size."""
PHOTOGRAPH = (480, 640)
NOTHING_FOUND = -20.0
"""A logit, a probability or a brightness at which no decoder has anything to do."""


@cache
def setup_of(model: str) -> Setup:
    return Setup(loading.load(compose.compose([f"model={model}"])))


def networks_with_decoder() -> list[str]:
    """The models that decode and are networks of their own, neither any of a library's nor ONNX files."""
    contents = {name: options.read(path) for name, path in sorted(groups.files("model").items())}
    others = {*libraries.LISTED_BY, "smp", *(name for name, model in contents.items() if "onnx" in model)}
    return [name for name, model in contents.items() if model.get("decode") and name not in others]


MODELS = networks_with_decoder()


def test_every_task_with_decoding_has_models() -> None:
    tasks = {setup_of(name).config.model.task for name in MODELS}
    assert tasks == {name for name, kind in TASKS.items() if kind.is_decoded}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_brings_a_data_set_of_its_task(model: str) -> None:
    config = setup_of(model).config
    assert config.dataset.task == config.model.task


@pytest.mark.parametrize("model", MODELS)
def test_the_decoder_takes_what_the_network_gives(model: str) -> None:
    setup = setup_of(model)
    (tensor,) = setup.inputs
    size = PICTURE if tensor.is_free else PHOTOGRAPH
    placed = place(size, setup.geometry, tensor.shape[1:])
    rows = [
        Row(id=str(index), sample="a", original_size=size, scale=each.scale, padding=each.padding)
        for index, each in enumerate(placed)
    ]
    with torch.device("meta"), torch.no_grad():
        network = targets.call(setup.network.target).eval()
        outputs = named_outputs(network(torch.empty(len(rows), tensor.shape[0], *placed[0].size)), setup.outputs)
    arrays = {name: np.broadcast_to(np.float32(NOTHING_FOUND), tuple(output.shape)) for name, output in outputs.items()}
    (result,) = targets.bind(setup.decode, positional=2)(arrays, rows)
    assert result is not None


@pytest.mark.parametrize("model", MODELS)
def test_published_accuracies_are_what_the_data_set_measures(model: str) -> None:
    setup = setup_of(model)
    measured = {figure for name, target in setup.metrics.items() for figure in metric_of(name, target).figures}
    assert {name for row in setup.config.model.published for name in row.accuracy} <= measured


@pytest.mark.parametrize("model", MODELS)
def test_every_checkpoint_says_where_it_comes_from(model: str) -> None:
    checkpoint = setup_of(model).config.model.checkpoint
    assert checkpoint.file and (checkpoint.url or checkpoint.where)
