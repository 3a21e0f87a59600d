from collections.abc import Callable
from pathlib import Path

import pytest

from runner.config.schema import RunConfig
from runner.core import FileHashes, Weights, environment
from runner.pipeline import keys, plan
from runner.pipeline.keys import Stage
from runner.pipeline.setup import Setup
from runner.stages import order

IMAGES = ("model=moco_v2", "weights=random", "dataset=synthetic_images")
Planned = Callable[..., plan.Plan]
WEIGHTS = {"weights": Weights(Path("/w.pth"), "digest", "file")}


@pytest.fixture
def planned(run_config: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planned:
    """The plan of a run composed from the arguments."""
    monkeypatch.chdir(tmp_path)

    def lay_out(*arguments: str) -> plan.Plan:
        return plan.plan(Setup(run_config(*arguments)), FileHashes(tmp_path / "hashes"))

    return lay_out


def stage(laid_out: plan.Plan, name: str) -> Stage:
    return next(stage for stage in laid_out.stages if stage.name == name)


def changed_keys(before: plan.Plan, after: plan.Plan) -> set[str]:
    """The stages whose own part of the key differs, whatever their inputs."""
    return {
        one.name
        for one, other in zip(before.stages, after.stages, strict=True)
        if keys.key(one, {}) != keys.key(other, {})
    }


def test_the_stages_stand_in_the_order_in_which_they_run(planned: Planned) -> None:
    laid_out = planned(*IMAGES)
    assert tuple(stage.name for stage in laid_out.stages) == order.STAGES
    for index, one in enumerate(laid_out.stages):
        assert set(one.needs) <= {earlier.name for earlier in laid_out.stages[:index]}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ("model.preprocess.resize=257", {"prepare"}),
        ("model.preprocess.channels=bgr", {"prepare"}),
        ("model.preprocess.mean=[0.1,0.2,0.3]", {"infer", "reference"}),
        ("model.preprocess.scale=0.5", {"infer", "reference"}),
        ("limit=3", {"prepare"}),
        ("dataset.reader.count=3", {"prepare"}),
        ("seed=1", {"weights", "prepare"}),
        ("model.export.opset=12", {"export"}),
        ("model.simplify.enabled=false", {"simplify"}),
        ("tool.adapter.threads=1", {"infer", "benchmark"}),
        ("+tool.provider_options={precision_mode: force_fp16}", {"infer", "benchmark"}),
        ("+tool.session_options={session.intra_op.allow_spinning: false}", {"infer", "benchmark"}),
        ("benchmark.warmup=9", {"benchmark"}),
        ("benchmark.isolate=true", {"benchmark"}),
        ("benchmark.input=real", {"benchmark"}),
        ("gates.fidelity.samples=9", {"reference"}),
        ("gates.accuracy.tolerance=2", set()),
        ("model.fidelity.cosine=0.5", set()),
        ("dataset.metrics.top5.k=4", {"score"}),
        ("device=0", set()),
        ("model.name=other", set()),
    ],
)
def test_a_change_touches_the_stages_that_depend_on_it_and_no_other(
    change: str, stages: set[str], planned: Planned
) -> None:
    assert changed_keys(planned(*IMAGES), planned(*IMAGES, change)) == stages


BOXES = ("model=yolov5n", "weights=random", "dataset=synthetic_boxes")


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ("model.decode.iou=0.5", {"infer", "score"}),
        ("gates.fidelity.samples=9", {"infer", "reference"}),
    ],
)
def test_what_a_detectors_results_depend_on_touches_their_inference(
    change: str, stages: set[str], planned: Planned
) -> None:
    assert changed_keys(planned(*BOXES), planned(*BOXES, change)) == stages


def test_outputs_are_stored_whole_where_metrics_compare_with_pytorch(planned: Planned) -> None:
    assert stage(planned(*BOXES), "infer").spec.results is not None
    assert stage(planned(*BOXES, "dataset.scored_against=reference"), "infer").spec.results is None


def test_a_benchmark_on_real_inputs_needs_the_samples(planned: Planned, run_config: Callable[..., RunConfig]) -> None:
    real = ("benchmark.input=real", "stages=[benchmark]")
    assert "prepare" in planned(*IMAGES, *real).wanted(["benchmark"])
    assert Setup(run_config(*IMAGES, *real)).needs["benchmark"] == ("compile", "prepare")


def test_a_benchmark_on_random_inputs_needs_no_samples(planned: Planned) -> None:
    assert "prepare" not in planned(*IMAGES).wanted(["benchmark"])


def test_another_batch_touches_the_onnx_only_where_the_model_fixes_it(planned: Planned) -> None:
    fixed = changed_keys(planned(*IMAGES), planned(*IMAGES, "batch=4"))
    free = changed_keys(planned("model=dpn131", *IMAGES[1:]), planned("model=dpn131", *IMAGES[1:], "batch=4"))
    assert fixed == {"export", "simplify", "compile", "infer"}
    assert free == {"compile", "infer"}


def test_dcgan_is_simplified_for_each_batch_and_exported_once(planned: Planned) -> None:
    touched = changed_keys(
        planned("model=dcgan", "weights=random"), planned("model=dcgan", "weights=random", "batch=4")
    )
    assert touched == {"simplify", "compile", "infer"}


def test_the_content_of_an_input_is_part_of_the_key_and_its_place_is_not(planned: Planned) -> None:
    export = stage(planned(*IMAGES), "export")
    elsewhere = {"weights": Weights(Path("/other.pth"), "digest", "file")}
    other = {"weights": Weights(Path("/w.pth"), "other", "file")}
    assert keys.key(export, WEIGHTS) == keys.key(export, elsewhere)
    assert keys.key(export, WEIGHTS) != keys.key(export, other)


def test_the_version_of_a_library_is_part_of_the_key_of_what_calls_it(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid_out = planned(*IMAGES)
    before = {one.name: keys.key(one, {}) for one in laid_out.stages}
    installed = environment.package_version
    monkeypatch.setattr(environment, "package_version", lambda name: "9.9" if name == "onnxsim" else installed(name))
    assert {one.name for one in laid_out.stages if keys.key(one, {}) != before[one.name]} == {"simplify"}


def test_the_file_of_given_weights_is_hashed(planned: Planned, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"one")
    first = planned("model=moco_v2", "weights=w.pth", "dataset=synthetic_images")
    (tmp_path / "w.pth").write_bytes(b"two")
    second = planned("model=moco_v2", "weights=w.pth", "dataset=synthetic_images")
    assert changed_keys(first, second) == {"weights"}


def test_a_stage_brings_all_that_it_needs(planned: Planned) -> None:
    assert planned(*IMAGES).wanted(["infer"]) == {"weights", "export", "simplify", "compile", "prepare", "infer"}


def test_frames_are_played_with_the_weights(planned: Planned) -> None:
    assert stage(planned("model=dqn", "weights=random"), "prepare").needs == ("weights",)
    assert stage(planned(*IMAGES), "prepare").needs == ()


def test_data_with_a_problem_is_still_planned(planned: Planned) -> None:
    assert stage(planned("model=moco_v2", "weights=random"), "prepare").spec.content is None


def test_pictures_that_are_there_do_not_depend_on_the_seed(planned: Planned) -> None:
    arguments = ("model=moco_v2", "weights=random", "dataset=imagenet")
    assert changed_keys(planned(*arguments), planned(*arguments, "seed=1")) == {"weights"}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ("tool.adapter.loop=7", {"benchmark"}),
        ("tool.adapter.timeout_seconds=7", set()),
        ("tool.compiler.timeout_seconds=7", set()),
        ("tool.environment_script=/elsewhere/set_env.sh", set()),
        ("+model.atc.precision_mode=force_fp32", {"compile"}),
        ("model.aipp=true", {"compile", "infer"}),
        ("device=1", {"infer", "benchmark"}),
    ],
)
def test_how_a_tool_is_run_is_in_no_key_and_what_it_makes_is(change: str, stages: set[str], planned: Planned) -> None:
    card = ("model=dpn131", "weights=random", "dataset=synthetic_images", "soc=310P3")
    assert changed_keys(planned(*card), planned(*card, change)) == stages


def test_a_network_within_a_network_is_part_of_the_key(planned: Planned) -> None:
    nested = planned(*IMAGES, "+model.network.layers=[{_target_: zoo.dqn.NatureDQN}]")
    for name in ("weights", "export", "reference"):
        assert "zoo.dqn.NatureDQN" in stage(nested, name).hooks


def test_the_arguments_of_a_network_within_a_network_are_part_of_the_key(planned: Planned) -> None:
    one, other = (f"+model.network.layers=[{{_target_: torch.nn.Linear, _args_: [{size}, 1]}}]" for size in (2, 3))
    assert changed_keys(planned(*IMAGES, one), planned(*IMAGES, other)) == {"weights", "export", "reference"}


def test_a_model_for_several_batch_sizes_is_compiled_once_for_all_of_them(planned: Planned) -> None:
    sweep = ("model=dpn131", *IMAGES[1:], "soc=310P3", "batch.gears=[4,1]")
    assert changed_keys(planned(*sweep, "batch=1"), planned(*sweep, "batch=4")) == {"infer", "benchmark"}
    one_each = planned(*sweep[:-1], "batch=4")
    assert "compile" in changed_keys(one_each, planned(*sweep, "batch=4"))
    assert "compile" in changed_keys(planned(*sweep, "batch=4"), planned(*sweep, "batch=4", "tool.shapes=range"))


def test_a_range_touches_only_models_of_several_batch_sizes_or_shapes(planned: Planned) -> None:
    card = (*IMAGES, "soc=310P3")
    assert changed_keys(planned(*card), planned(*card, "tool.shapes=range")) == set()


def test_the_host_normalises_for_onnx_runtime_on_a_card_that_could(run_config: Callable[..., RunConfig]) -> None:
    model = ("model=resnet18_aipp", "soc=310P3")
    assert Setup(run_config(*model)).host_normalisation is None
    on_host = Setup(run_config(*model, "tool=onnxruntime"))
    assert (on_host.aipp, on_host.host_normalisation) == (None, on_host.normalisation)
