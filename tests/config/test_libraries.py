"""Any network of a library by its name: what the library says of it, and that it is believed."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from runner.config import libraries, targets
from runner.config.callables import Target
from runner.config.libraries import torchvision as torchvisions
from runner.core import CheckpointError, ConfigError, TensorSpec, Weights
from runner.data import normalise, open_picture, picture_size, place
from runner.data.preprocess import fit_picture
from runner.networks import CheckpointLayout, NetworkSpec, build_network, randomise
from runner.networks.libraries import build_torchvision
from runner.pipeline import keys, plan
from runner.pipeline.setup import Setup
from runner.store import Store
from runner.tasks.classification.synthetic import draw_picture

COVERAGE = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
PICTURES = ("dataset=synthetic_images", "dataset.reader.count=4", "weights=random")


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory) -> Path:
    """Where what the libraries say is remembered, once for all of these tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def chosen(run_config, cache_dir):
    """The typed configuration of a network: chosen("timm", "resnet18", *more)."""
    return lambda library, arch, *more: run_config(
        f"model={library}", f"model.arch={arch}", f"cache_dir={cache_dir}", *more
    )


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "picture.png"
    draw_picture(seed=1, index=0, width=301, height=433).save(path)
    return path


def evaluation_transform(library: str, arch: str):
    """The library's own."""
    if library == "timm":
        from timm import data, models

        return data.create_transform(
            **data.resolve_data_config(pretrained_cfg=models.get_pretrained_cfg(arch).to_dict())
        )
    from torchvision import models

    name, _, tag = arch.partition(".")
    return models.get_model_weights(name)[tag or "DEFAULT"].transforms()


@pytest.mark.parametrize(
    ("library", "arch"),
    [
        ("timm", "resnet18"),
        ("timm", "resnet18.fb_swsl_ig1b_ft_in1k"),  # bilinear
        ("timm", "inception_v4"),  # mean and std of 0.5
        ("timm", "convnext_tiny.in12k_ft_in1k_384"),  # stretched to a square
        ("timm", "cait_xxs24_224"),  # the whole picture
        ("torchvision", "resnet50"),
        ("torchvision", "resnet50.IMAGENET1K_V1"),
        ("torchvision", "efficientnet_b1"),
    ],
)
def test_pictures_are_made_ready_as_the_library_does(library, arch, chosen, picture) -> None:
    config = chosen(library, arch)
    with Image.open(picture) as opened:
        wanted = evaluation_transform(library, arch)(opened).numpy()
    geometry = Setup(config).geometry
    (placed,) = place(picture_size(picture), geometry, tuple(config.model.inputs[0].shape[1:]))
    stored = fit_picture(open_picture(picture), placed, geometry)
    found = normalise(stored[None], Setup(config).normalisation)[0]
    assert tuple(config.model.inputs[0].shape) == found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_a_networks_names_classes_and_checkpoint_are_the_librarys(chosen) -> None:
    model = chosen("timm", "resnet18.a1_in1k").model
    assert (model.name, model.network["num_classes"]) == ("timm-resnet18.a1_in1k", 1000)
    assert model.checkpoint.file == "resnet18_a1_0-d63eafa0.pth"
    assert model.checkpoint.url.endswith("/v0.1-rsb-weights/resnet18_a1_0-d63eafa0.pth")
    assert model.checkpoint.sha256 == "d63eafa0"
    assert chosen("timm", "vit_base_patch16_224.augreg_in21k").model.network["num_classes"] == 21843


def test_weights_in_a_format_of_others_are_taken_from_timms_hub(chosen) -> None:
    checkpoint = chosen("timm", "vit_tiny_patch16_224.augreg_in21k_ft_in1k").model.checkpoint
    assert checkpoint.file == "vit_tiny_patch16_224.augreg_in21k_ft_in1k.safetensors"
    assert checkpoint.url == (
        "https://huggingface.co/timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k/resolve/main/model.safetensors"
    )
    assert checkpoint.sha256 is None


def test_a_value_that_is_given_goes_before_the_librarys(chosen) -> None:
    model = chosen("timm", "resnet18", "model.preprocess.resize=256", "model.network.num_classes=10").model
    assert (model.preprocess.resize, model.preprocess.crop, model.network["num_classes"]) == (256, 224, 10)


@pytest.mark.parametrize(
    ("library", "arch", "told"),
    [
        ("timm", "resnet19", "did you mean resnet"),
        ("timm", "resnet18.a9_in1k", "did you mean resnet18.a1_in1k"),
        ("torchvision", "resnet51", "did you mean .*resnet50"),
        ("torchvision", "fasterrcnn_resnet50_fpn", "torchvision.models.detection"),
        ("torchvision", "r3d_18", "torchvision.models.video"),
        ("torchvision", "vgg16.IMAGENET1K_FEATURES", "no classifier"),
        ("timm", "deepseek_vit_412m", "crop mode 'border'"),
        ("timm", "vit_base_patch16_sapiens2", r"inputs of \[3, 1024, 768\]"),
        ("timm", "vit_small_patch14_dinov2", "it gives features"),
    ],
)
def test_what_cannot_be_run_is_told_with_what_can(library, arch, told, chosen) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen(library, arch)
    assert re.search(told, str(caught.value)), caught.value
    assert "lists them" in caught.value.fix or "num_classes=N" in caught.value.fix


def test_a_network_of_features_takes_a_classifier_of_the_users(chosen) -> None:
    model = chosen("timm", "vit_small_patch14_dinov2", "model.network.num_classes=10").model
    assert model.network["num_classes"] == 10


def test_an_architecture_must_be_named(run_config) -> None:
    with pytest.raises(ConfigError, match="none is named") as caught:
        run_config("model=timm")
    assert "model=timm model.arch=resnet18" in caught.value.fix


def test_an_architecture_for_one_network_is_refused(run_config) -> None:
    with pytest.raises(ConfigError, match=r"model\.arch is 'resnet18', and model=moco_v2 is one network"):
        run_config("model=moco_v2", "model.arch=resnet18")


def test_an_unknown_fact_is_told(tmp_path) -> None:
    with pytest.raises(ConfigError, match="asks for what is not known"):
        libraries.ask("timm", "resnet18", "colour", tmp_path)


@pytest.mark.parametrize("broken", [None, b"", b"{]"])
def test_what_a_library_says_is_remembered(broken, tmp_path, monkeypatch) -> None:
    first = libraries.catalogue_of("torchvision", tmp_path)
    (memory,) = (tmp_path / "libraries").iterdir()
    if broken is not None:
        memory.write_bytes(broken)
    shutil.copytree(tmp_path / "libraries", tmp_path / "later" / "libraries")  # as a new process finds it
    asked = []
    monkeypatch.setattr(torchvisions, "catalogue", lambda: asked.append(1) or first)
    assert libraries.catalogue_of("torchvision", tmp_path / "later") == first
    assert len(asked) == (broken is not None)


def test_a_folder_that_cannot_be_written_is_no_matter(tmp_path) -> None:
    (tmp_path / "libraries").write_text("a file")
    assert "resnet18" in libraries.catalogue_of("torchvision", tmp_path).networks


def test_looking_again_imports_no_library(chosen, cache_dir, tmp_path) -> None:
    chosen("timm", "resnet18")
    command = [sys.executable, "-X", "importtime", "-m", "runner", "model=timm", "model.arch=resnet18", *PICTURES]
    command += ["dry_run=true", f"cache_dir={cache_dir}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "hydra" in imported
    assert imported & {"torch", "torchvision", "timm", "onnx"} == set()


def test_a_named_network_runs(run_main, cache_dir, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("-m", "model=timm", "model.arch=test_resnet,test_vit", "stages=[score]", "hydra.sweep.dir=sweep")
    run_main(*arguments, *PICTURES, f"cache_dir={cache_dir}")
    results = [json.loads((tmp_path / "sweep" / job / "result.json").read_text()) for job in ("0", "1")]
    assert [found["model"] for found in results] == ["timm-test_resnet", "timm-test_vit"]
    for found in results:
        assert found["fidelity"]["cosine"] > 0.999999
        assert found["fidelity"]["top1_agreement"] == 100


def test_a_wrong_name_on_the_command_line_is_told(run_main, cache_dir, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_main("model=timm", "model.arch=test_resne", *PICTURES, f"cache_dir={cache_dir}", check=1)
    assert "did you mean test_resnet" in done.stderr
    assert not (tmp_path / "outputs").exists()


TEST_VIT = NetworkSpec(
    Target("timm.create_model", {"model_name": "test_vit", "num_classes": 1000}),
    CheckpointLayout(
        unwrap=("state_dict", "model"),
        rename={},
        drop_background=None,
        settings=None,
        adapt=Target("runner.networks.libraries.adapt_timm_checkpoint", {"model_name": "test_vit"}),
    ),
    (TensorSpec("image", "float32", (3, 160, 160)),),
)


def saved(state_dict: dict[str, torch.Tensor], folder: Path) -> Weights:
    torch.save({"model": state_dict}, folder / "w.pth")
    return Weights(folder / "w.pth", "", "file")


def test_a_published_layout_is_read_as_timm_reads_it(tmp_path) -> None:
    own = randomise(TEST_VIT, 0).state_dict()
    flat = own | {"patch_embed.proj.weight": own["patch_embed.proj.weight"].flatten(1)}  # as the first ViTs had it
    found = build_network(TEST_VIT, saved(flat, tmp_path)).state_dict()
    assert all(torch.equal(found[name], own[name]) for name in own)


def test_a_checkpoint_of_another_network_is_refused_by_timm(tmp_path) -> None:
    own = randomise(TEST_VIT, 0).state_dict()
    own.pop("head.weight")
    with pytest.raises(CheckpointError, match="timm cannot read this checkpoint as one of test_vit"):
        build_network(TEST_VIT, saved(own, tmp_path))


def test_a_head_of_other_classes_is_not_made_up(tmp_path) -> None:
    small = NetworkSpec(
        Target("timm.create_model", {"model_name": "test_vit", "num_classes": 7}), TEST_VIT.layout, TEST_VIT.inputs
    )
    own = randomise(small, 0).state_dict()
    assert torch.equal(build_network(small, saved(own, tmp_path)).state_dict()["head.weight"], own["head.weight"])
    with pytest.raises(CheckpointError):
        build_network(TEST_VIT, saved(own, tmp_path))


@pytest.mark.parametrize("arch", ["googlenet", "squeezenet1_1"])
def test_torchvisions_networks_are_built_as_for_their_weights(arch, monkeypatch) -> None:
    from torchvision import models

    ours = build_torchvision(arch, 224, 1000).eval()
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", lambda self, *_, **__: ours.state_dict())
    theirs = models.get_model(arch, weights="DEFAULT").eval()
    inputs = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(ours(inputs), theirs(inputs))


def test_weights_for_larger_pictures_get_a_network_for_them(chosen) -> None:
    model = chosen("torchvision", "vit_b_16.IMAGENET1K_SWAG_E2E_V1").model
    assert model.network["size"] == model.preprocess.crop == 384
    with torch.device("meta"):
        assert targets.call(targets.parse(model.network, "model.network")).image_size == 384


@pytest.mark.parametrize(("library", "arch"), [("timm", "test_resnet"), ("torchvision", "resnet18")])
def test_a_librarys_version_is_part_of_the_keys(library, arch, chosen, cache_dir, tmp_path, monkeypatch) -> None:
    libraries.catalogue_of(library, cache_dir)

    def export_key() -> str:
        config = chosen(library, arch, *PICTURES)
        laid_out = plan.plan(Setup(config), Store(tmp_path, arch).hash_files)
        (export,) = (stage for stage in laid_out.stages if stage.name == "export")
        return keys.key(export, {"weights": Weights(tmp_path, "0" * 64, "file")})

    before = export_key()
    version = importlib.metadata.version
    (memory,) = (cache_dir / "libraries").glob(f"{library}-{version(library)}-*.json")
    shutil.copyfile(memory, memory.with_name(memory.name.replace(version(library), "9.9.9")))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9.9" if name == library else version(name))
    assert export_key() != before


@pytest.mark.slow
def test_the_coverage_is_told_kept_and_gone_on_with(tmp_path) -> None:
    def cover(networks: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(COVERAGE), "--networks", networks, "--opsets", "13"]
        command += ["--results", str(tmp_path / "found.jsonl"), "--write", str(tmp_path / "coverage.md")]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)

    first = cover("timm:test_resnet,zoo:nothing")
    assert first.returncode == 1, first.stderr
    assert "opset 13: 1 of 2 hold (50.0 %)" in first.stdout
    assert "config: there is no model=nothing" in first.stdout
    assert re.search(r"\| timm \| test_resnet \| \de[+-]\d\d \|", (tmp_path / "coverage.md").read_text())
    again = cover("timm:test_resnet")
    assert again.returncode == 0, again.stderr
    assert "opset 13: 1 of 1 hold" in again.stdout
    assert "test_resnet opset 13: holds" not in again.stdout  # it was known


def test_the_coverage_list_is_long_and_names_each_network_once() -> None:
    sys.path.insert(0, str(COVERAGE.parent))
    import coverage_networks

    listed = coverage_networks.listed()
    assert len(listed) == len(set(listed)) >= 150
