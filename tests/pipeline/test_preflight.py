import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.config.schema import RunConfig
from runner.pipeline import preflight
from runner.pipeline.setup import Setup
from runner.store import Store

Problems = Callable[..., list[str]]
IMAGES = ("model=moco_v2", "weights=random", "dataset=synthetic_images")


@pytest.fixture
def problems(run_config: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problems:
    """The problems of a run composed from the arguments, as texts."""
    monkeypatch.chdir(tmp_path)

    def find(*arguments: str) -> list[str]:
        found = preflight.find_problems(Setup(run_config(*arguments)), Store(tmp_path / "c"))
        return [str(problem) for problem in found]

    return find


def test_a_run_that_can_be_done_has_none(problems: Problems) -> None:
    assert problems(*IMAGES) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("batch=0",), "batch is 0"),
        (("batch=-1",), "batch is -1"),
        (("limit=0",), "limit is 0"),
        (("seed=-3",), "seed is -3"),
        (("stages=[wieghts]",), "'wieghts', which is no stage"),
        (("force=[all]",), "'all', which is no stage"),
        (("force=maybe",), "force names 'maybe', which is no stage"),
        (("force={a: 1}",), "force is {'a': 1}"),
        (("device=[0,x]",), "device is [0, 'x']"),
        (("device=[]",), "device is []"),
        (("device=3",), "device is [3]"),
        (
            ("soc=310P3", "tool=onnxruntime"),
            "this ONNX Runtime has no CANNExecutionProvider",
        ),
        (("benchmark.min_iterations=0",), "benchmark.min_iterations is 0"),
        (("benchmark.min_seconds=nan",), "benchmark.min_seconds is nan"),
        (("benchmark.max_seconds=0.1",), "benchmark.max_seconds is 0.1"),
        (("benchmark.input=zeros",), "benchmark.input is 'zeros'"),
        (("gates.fidelity.samples=0",), "gates.fidelity.samples is 0"),
        (("model.preprocess.interpolation=bicubik",), "bicubik"),
        (("model.preprocess.crop=225",), "225"),
        (("model.preprocess.std=[0.2,0.0,0.2]",), "std"),
        (("model.network._target_=torchvision",), "model.network._target_"),
        (("model.network._target_=zoo.nothing.Net",), "no module zoo.nothing"),
        (("+model.network.norm={_target_: os.system}",), "model.network.norm names os.system, which may not be called"),
        (("+model.network.norm=[{_target_: zoo.nothing.Net}]",), "no module zoo.nothing"),
        (("model.preprocess.scale=nan",), "model.preprocess.scale is to be set"),
        (("dataset=noise", "dataset.scored_against=labels"), "dataset=noise compare with labels, and it has none"),
        (("model.outputs=[]",), "model.outputs are named []"),
        (("+model.decode={_target_: runner.tasks.cosine}",), "not made to be called as model.decode"),
        (("+model.decode={_target_: runner.tasks.first_output, k: 1}",), "has no argument 'k'"),
        (("+dataset.metrics.x={_target_: runner.tasks.Metric}",), "not made to be called as dataset.metrics"),
        (("model.inputs=[{name:x,shape:[3,0,2]}]",), "shape is [3, 0, 2]"),
        (("model.inputs=[{name:x,shape:[3,9223372036854775807,2]}]",), "no array holds 1 of such samples"),
        (("batch=9223372036854775807",), "batch is 9223372036854775807"),
        (("tool.adapter.threads=2147483648",), "tool.adapter.threads is 2147483648"),
        (("benchmark.warmup=9007199254740992",), "benchmark.warmup is 9007199254740992"),
        (("model.inputs=[{name:x,shape:[3],dtype:float33}]",), "'float33'"),
        (("dataset=noise", "model.inputs=[{name:x,shape:[3],dtype:float33}]"), "'float33'"),
        (("dataset.metrics.top1.k=null", "+dataset.metrics.top1.kk=1"), "has no argument 'kk'"),
        (("dataset.scored_against=lables",), "'lables'"),
        (("dataset.reader.count=0",), "dataset.reader.count is 0"),
        (("tool.adapter.threads=-2",), "threads is -2"),
        (("model.fidelity.cosine=nan",), "model.fidelity.cosine is nan"),
        (("model.fidelity.equal=inf",), "model.fidelity.equal is inf"),
        (("model.fidelity.top1_agreement=nan",), "model.fidelity.top1_agreement is nan"),
        (("gates.batch_invariance.cosine=nan",), "gates.batch_invariance.cosine is nan"),
        (("gates.throughput.tolerance=nan",), "gates.throughput.tolerance is nan"),
        (
            ("model.published=[{soc: cpu, batch: 1, accuracy: {top1: nan}, samples_per_second: inf, source: s}]",),
            "model.published[0].accuracy.top1 is nan",
        ),
        (("weights=missing.pth",), "missing.pth does not exist"),
        (("weights=.",), "is a folder"),
    ],
)
def test_each_problem_names_the_key_and_the_value_and_says_what_to_do(
    arguments: tuple[str, ...], told: str, problems: Problems
) -> None:
    found = problems(*IMAGES, *arguments)
    assert any(told in problem for problem in found), found
    assert all("fix: " in problem for problem in found)


def test_a_decoder_that_is_not_there_is_one_problem(problems: Problems) -> None:
    (problem,) = problems(*IMAGES, "+model.decode={_target_: zoo.nothing.Decode}")
    assert "there is no module 'zoo.nothing'" in problem


def test_all_problems_come_at_once(problems: Problems) -> None:
    found = problems("model=moco_v2", "batch=0", "limit=0", "soc=310", "tool=trtexec", "dataset=imagenet")
    for told in ("batch is 0", "limit is 0", "soc=310", "weights=auto", "dataset.root is not set"):
        assert any(told in problem for problem in found), told


def test_weights_without_a_url_are_told_where_they_are_got_and_where_to_put_them(
    problems: Problems, tmp_path: Path
) -> None:
    (problem,) = problems("model=moco_v2", "dataset=synthetic_images")
    assert "www.hiascend.com" in problem
    assert str(tmp_path / "checkpoints" / "model_lincls_best.pth.tar") in problem


def test_weights_in_checkpoints_are_taken(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "model_lincls_best.pth.tar").write_bytes(b"x")
    assert problems("model=moco_v2", "dataset=synthetic_images") == []


def test_weights_with_a_url_need_no_file(problems: Problems) -> None:
    assert problems("model=dcgan") == []


def test_too_little_disk_is_told_with_what_is_needed(problems: Problems, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("usage", (), {"free": 1 << 20}))
    (problem,) = problems(*IMAGES)
    assert "0.0 GiB free, the run needs about 0.3 GiB" in problem
    assert "cache_dir=DIR" in problem


def test_a_folder_that_does_not_exist_yet_is_judged_by_its_parent(tmp_path: Path) -> None:
    assert preflight.existing_parent(tmp_path / "a" / "b") == Path(tmp_path)


def test_only_what_the_wanted_stages_need_is_checked(problems: Problems) -> None:
    assert problems("model=moco_v2", "weights=random", "soc=310P3", "stages=[weights,export,simplify]") == []


def test_what_a_wanted_stage_needs_is_checked_too(problems: Problems) -> None:
    assert len(problems("model=moco_v2", "stages=[benchmark]")) == 1


def test_inputs_are_judged_by_what_the_tool_can_measure_on(problems: Problems) -> None:
    found = problems(*IMAGES, "soc=310P3", "tool=benchmark", "benchmark.input=real")
    assert any("benchmark measures on data of its own" in problem for problem in found)


def test_a_tool_without_a_profiler_is_not_profiled(problems: Problems) -> None:
    found = problems(*IMAGES, "soc=310P3", "tool=ais_infer", "benchmark.profile=true")
    assert any("benchmark.profile is true, and ais_infer has no profiler" in str(problem) for problem in found)


def test_a_tool_that_is_a_process_of_its_own_is_not_isolated(problems: Problems) -> None:
    found = problems(*IMAGES, "soc=310P3", "tool=ais_bench", "benchmark.isolate=true")
    assert any("ais_bench is a process of its own already" in problem for problem in found)


def test_a_benchmark_on_real_inputs_has_its_samples_checked(problems: Problems) -> None:
    only = ("model=moco_v2", "weights=random", "stages=[benchmark]")
    assert problems(*only) == []
    assert any("dataset.root is not set" in problem for problem in problems(*only, "benchmark.input=real"))


def test_aipp_without_an_ascend_card_is_a_problem(problems: Problems) -> None:
    (problem,) = problems(*IMAGES, "model.aipp=true")
    assert "soc=cpu is no Ascend card to normalise on" in problem


def test_samples_that_the_network_plays_need_its_weights(problems: Problems, tmp_path: Path) -> None:
    (problem,) = problems("model=dqn", "stages=[prepare]")
    assert f"weights=auto: {Path('checkpoints') / 'dqn.pth'} is missing" in problem
    assert str(tmp_path / "checkpoints" / "dqn.pth") in problem


def test_a_file_of_weights_that_is_missing_is_told_where_the_network_plays(problems: Problems) -> None:
    (problem,) = problems("model=dqn", "stages=[prepare]", "weights=missing.pth")
    assert "missing.pth does not exist" in problem


def test_samples_that_are_read_need_no_weights(problems: Problems) -> None:
    assert problems("model=moco_v2", "dataset=synthetic_images", "stages=[prepare]") == []


SEGMENTED = "model.task=segmentation"


def test_a_data_set_of_another_task_is_told_with_those_that_fit(problems: Problems) -> None:
    (told,) = problems("model=moco_v2", "weights=random", "dataset=synthetic_shapes")
    assert "model=moco_v2 is for image_classification, and dataset=synthetic_shapes for segmentation" in told
    assert "choose dataset=imagenet or dataset=synthetic_images" in told


def test_a_data_set_of_no_task_fits_all(problems: Problems) -> None:
    assert problems("model=moco_v2", "weights=random", "dataset=synthetic_images", "dataset.task=null") == []


def test_a_task_of_the_users_own_is_not_judged(problems: Problems) -> None:
    assert problems(*IMAGES, "model.task=palmistry") == []


def test_outputs_that_need_decoding_are_told_where_there_is_no_decoder(problems: Problems) -> None:
    told = problems(*IMAGES, SEGMENTED, "dataset.task=segmentation", "dataset.metrics={}")
    assert any("the outputs of a model for segmentation need decoding" in one for one in told)
    assert any("name one of runner.tasks.segmentation" in one for one in told)


def test_a_decoder_of_another_task_is_told(problems: Problems) -> None:
    told = problems(*IMAGES, "+model.decode={_target_: runner.tasks.segmentation.Maps}")
    assert any(
        "model.decode names runner.tasks.segmentation.Maps, which is not for image_classification" in one
        and "name one of runner.tasks.classification" in one
        for one in told
    )


def test_a_metric_of_another_task_is_told(problems: Problems) -> None:
    told = problems(*IMAGES, "+dataset.metrics.psnr={_target_: runner.tasks.restoration.Psnr}")
    assert any(
        "dataset.metrics.psnr names runner.tasks.restoration.Psnr, which is not for image_classification" in one
        for one in told
    )


def test_a_metric_that_all_tasks_share_fits(problems: Problems) -> None:
    assert problems(*IMAGES, "+dataset.metrics.same={_target_: runner.tasks.agreement}") == []


def test_a_metric_of_masks_is_told_where_the_decoder_gives_none(problems: Problems) -> None:
    assert any(
        "the decoder Distances gives none" in one for one in problems("model=yolov8n", "dataset=synthetic_instances")
    )
    assert problems("model=yolov8n_seg", "weights=random", "dataset=synthetic_instances", "stages=[score]") == []


def test_sizes_that_differ_between_samples_are_null(problems: Problems) -> None:
    (told,) = problems(*IMAGES, "model.inputs=[{name: image, shape: [3, 0, 224]}]")[:1]
    assert "shape is [3, 0, 224]" in told
    assert "null for a size that differs between samples" in told


def test_tiles_of_a_model_whose_outputs_depend_on_the_batch_are_a_problem(problems: Problems) -> None:
    tiled = (*IMAGES, "model.preprocess.fit=none", "model.preprocess.tile=[224,224]")
    (told,) = (one for one in problems(*tiled, "model.batch_dependent=means") if "batch_dependent" in one)
    assert "model.preprocess.tile is [224, 224]" in told
    assert not any("batch_dependent" in one for one in problems(*tiled))


def test_contradictions_of_the_geometry_are_told(problems: Problems) -> None:
    told = problems(*IMAGES, "model.preprocess.fit=inside")
    assert any("model.preprocess.resize is 256 beside fit inside" in one for one in told)
    assert any("model.preprocess.crop is 224 beside fit inside" in one for one in told)


ARRAYS = ("weights=random", "dataset=arrays", "dataset.root=data", "stages=[score]")


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """The folder `data` with two of MoCo v2's pictures and no labels."""
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "actual_input_1.npy", np.zeros((2, 3, 224, 224), np.uint8))
    return tmp_path / "data"


def scored(run_config: Callable[..., RunConfig], *arguments: str) -> tuple[str, list[str], int | None]:
    """What the metrics compare with, their names, and how many samples PyTorch computes."""
    setup = Setup(run_config("model=moco_v2", *ARRAYS, *arguments))
    return setup.scored_against, list(setup.metrics), setup.reference_samples


def test_arrays_are_scored_by_their_labels(problems: Problems, arrays: Path, run_config) -> None:
    np.save(arrays / "labels.npy", np.zeros(2, np.int64))
    assert problems("model=moco_v2", *ARRAYS) == []
    assert scored(run_config) == ("labels", ["top1", "top5"], 256)


def test_arrays_without_labels_are_compared_with_pytorch(problems: Problems, arrays: Path, run_config) -> None:
    assert problems("model=moco_v2", *ARRAYS) == []
    assert scored(run_config) == ("reference", ["mean_abs", "cosine"], None)


def test_labels_can_be_left_aside(problems: Problems, arrays: Path, run_config) -> None:
    np.save(arrays / "labels.npy", np.zeros(2, np.int64))
    assert problems("model=moco_v2", *ARRAYS, "dataset.scored_against=reference") == []
    assert scored(run_config, "dataset.scored_against=reference") == ("reference", ["mean_abs", "cosine"], None)


def test_labels_of_classes_are_a_problem_for_another_task(problems: Problems, arrays: Path) -> None:
    np.save(arrays / "labels.npy", np.zeros(2, np.int64))
    told = problems("model=moco_v2", *ARRAYS, "model.task=image_generation")
    assert any("dataset.metrics.top1 names runner.tasks.classification.top_k, which is not for" in one for one in told)
    assert any("dataset.scored_against=reference" in one for one in told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["model.outputs=[ids]"], "the output 'ids' has the name of an array that is stored beside it"),
        (["model.outputs=[a,a.shapes]"], "the output 'a.shapes' has the name"),
        (["model.inputs=[{name: a/b, shape: [3]}, {name: a_b, shape: [3]}]"], "'a/b' and 'a_b' would be stored in one"),
        (["model.inputs=[{name: a, shape: [3]}, {name: a.shapes, shape: [3]}]"], "would be stored in one file"),
        (["model.inputs=[{name: a, shape: [3]}, {name: A, shape: [3]}]"], "would be stored in one file"),
        ([f"model.outputs=[{'x' * 300}]"], "cannot name a file"),
        (
            ["model.inputs=[{name: class, shape: [3]}]", "model.outputs=[class]"],
            "an input and an output are both named",
        ),
    ],
)
def test_names_that_would_collide_on_disk_are_refused(
    arguments: list[str], told: str, run_config, tmp_path: Path
) -> None:
    config = run_config("model=dcgan", "weights=random", "stages=[weights]", *arguments)
    problems = preflight.find_problems(Setup(config), Store(tmp_path))
    assert any(told in problem.message for problem in problems), problems


def test_a_metric_named_as_the_number_of_samples_is_refused(run_config, tmp_path: Path) -> None:
    config = run_config("model=moco_v2", "weights=random", "dataset=synthetic_images", "stages=[score]")
    config.dataset.metrics = {"samples": config.dataset.metrics["top1"]}
    problems = preflight.find_problems(Setup(config), Store(tmp_path))
    assert any("the name of the number of samples" in problem.message for problem in problems)


def test_a_reader_is_asked_for_its_problems_once(
    run_config: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(run_config(*IMAGES))
    kind, asked = type(setup.reader), []
    validate = kind.validate

    def counted(self: Any, request: Any) -> Any:
        asked.append(request)
        return validate(self, request)

    monkeypatch.setattr(kind, "validate", counted)
    preflight.checked_plan(setup, Store(tmp_path / "c"))
    assert asked == [setup.request]
