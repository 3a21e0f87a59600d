"""Torchvision's detectors by name: what is said of them, and the networks that are built for their weights."""

import pytest
import torch
from torchvision import models

from runner.config.libraries.torchvision_detectors import DETECTORS
from runner.core import ConfigError
from runner.networks.checkpoints import CheckpointLayout, state_dict_for
from runner.networks.libraries import build_torchvision
from runner.pipeline.setup import Setup
from runner.tasks import decode_of


@pytest.fixture
def chosen(run_config, tmp_path_factory):
    """The typed configuration of a network of torchvision."""
    cache_dir = tmp_path_factory.getbasetemp() / "detectors"
    return lambda arch, *more: run_config(
        "model=torchvision", f"model.arch={arch}", f"cache_dir={cache_dir}", "dataset=synthetic_boxes", *more
    )


@pytest.mark.parametrize("arch", DETECTORS)
def test_a_detector_comes_with_its_input_outputs_and_decoder(arch, chosen) -> None:
    model = chosen(arch).model
    assert model.task == "detection"
    assert tuple(model.inputs[0].shape) == (3, *DETECTORS[arch]["input_size"])
    assert model.outputs[:2] == ["logits", "boxes"]
    assert (model.network["num_classes"], model.decode["categories"]) == (91, "coco91")
    assert model.checkpoint.file == models.get_model_weights(arch).DEFAULT.url.rpartition("/")[2]
    assert callable(decode_of(Setup(chosen(arch)).decode))


def test_a_classifier_is_decoded_by_nothing(chosen) -> None:
    model = chosen("resnet18").model
    assert (model.task, model.decode, model.outputs) == ("image_classification", {}, ["class"])


def test_an_argument_of_the_librarys_decoder_can_be_set_whatever_the_order(run_config, tmp_path_factory) -> None:
    cache_dir = tmp_path_factory.getbasetemp() / "detectors"
    before, after = "model.decode.score=0.4", "model.decode.iou=0.7"
    typed = ("model=torchvision", before, "model.arch=fcos_resnet50_fpn", "dataset=synthetic_boxes", after)
    decode = run_config(*typed, f"cache_dir={cache_dir}").model.decode
    assert decode == {**DETECTORS["fcos_resnet50_fpn"]["decode"], "categories": "coco91", "score": 0.4, "iou": 0.7}


def test_an_argument_is_set_in_an_option_that_inherits_the_librarys_decoder(run_config, tmp_path_factory) -> None:
    cache_dir = tmp_path_factory.getbasetemp() / "detectors"
    decode = run_config("model=ssd300_vgg16", f"cache_dir={cache_dir}", "model.decode.keep=7").model.decode
    assert decode == {**DETECTORS["ssd300_vgg16"]["decode"], "categories": "coco91", "keep": 7}


def test_another_decoder_takes_none_of_the_librarys_arguments(chosen) -> None:
    decode = chosen("fcos_resnet50_fpn", "model.decode={_target_: runner.tasks.detection.Detr, keep: 9}").model.decode
    assert decode == {"_target_": "runner.tasks.detection.Detr", "keep": 9}


def test_a_base_that_is_no_mapping_is_refused(chosen) -> None:
    with pytest.raises(ConfigError, match=r"model\.decode\._base_ is 3, no mapping"):
        chosen("fcos_resnet50_fpn", "model.decode._base_=3")


def test_an_argument_that_the_decoder_lacks_is_told_with_those_it_has(chosen) -> None:
    with pytest.raises(ConfigError, match=r"has no argument 'scor'(?s:.*)score: 'float' = 0.2"):
        decode_of(Setup(chosen("fcos_resnet50_fpn", "model.decode.scor=0.4")).decode)


@pytest.mark.parametrize("arch", ["fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2", "keypointrcnn_resnet50_fpn"])
def test_a_detector_of_two_stages_is_refused_with_the_reason(arch, chosen) -> None:
    with pytest.raises(ConfigError, match="two stages, whose second works on what non-maximum suppression keeps"):
        chosen(arch)


def test_raw_heads_have_the_parameters_of_torchvisions_detector() -> None:
    ours = build_torchvision("ssdlite320_mobilenet_v3_large", None, 91)
    theirs = models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=91)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    with torch.inference_mode():
        shapes = [tuple(output.shape) for output in ours.eval()(torch.rand(2, 3, 320, 320))]
    assert shapes == [(2, 3234, 91), (2, 3234, 4)]


def test_retinanets_first_weights_meet_no_epsilon() -> None:
    first, second = (build_torchvision(f"retinanet_resnet50_fpn{version}", None, 91) for version in ("", "_v2"))
    norms = [
        {module.eps for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)}
        for network in (first, second)
    ]
    assert norms == [{0.0}, {1e-5}]


def test_retinanets_first_weights_are_renamed_as_torchvision_does(chosen) -> None:
    own = build_torchvision("retinanet_resnet50_fpn", None, 91).state_dict()
    rename = chosen("retinanet_resnet50_fpn").model.checkpoint.rename
    assert len(rename) == 16
    for old, new in rename.items():
        assert new in own
        assert old not in own


def test_retinanets_weights_that_were_trained_since_keep_their_names(chosen) -> None:
    own = build_torchvision("retinanet_resnet50_fpn", None, 91).state_dict()
    rename = chosen("retinanet_resnet50_fpn").model.checkpoint.rename
    layout = CheckpointLayout(unwrap=(), rename=dict(rename), drop_background=None, settings=None)
    assert list(state_dict_for(own, layout)) == list(own)
