"""What makes a stage's artifact anew: what its key is made of, and nothing else."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from runner.config import loading
from runner.config.compose import compose
from runner.core import modules
from runner.pipeline import invariance, keys, plan
from runner.pipeline.setup import Setup

IMAGES = ("model=moco_v2", "weights=random", "dataset=synthetic_images")
ASCEND = ("model=moco_v2", "weights=random", "dataset=synthetic_images", "soc=310P3")
PLAYED = ("model=dqn", "weights=random")
NOISE = ("model=dcgan", "weights=random")
ROOT = Path(modules.__file__).parents[2]

MadeAnew = Callable[..., set[str]]


@cache  # composing costs more than all else
def stages_of(arguments: tuple[str, ...]) -> tuple[keys.Stage, ...]:
    """The stages of a run composed from the arguments, the comparison with another batch size among them."""
    laid_out = plan.plan(Setup(loading.load(compose(arguments))), lambda folder, files: [])
    return (*laid_out.stages, invariance.stage(1))


def keys_of(arguments: tuple[str, ...]) -> dict[str, str]:
    """The key of each stage but for the content of its inputs."""
    return {stage.name: keys.key(stage, {}) for stage in stages_of(arguments)}


def test_a_store_of_another_format_has_other_keys(monkeypatch) -> None:
    before = keys_of(NOISE)
    monkeypatch.setattr(keys, "SCHEMA", 99)
    assert all(key != before[stage] for stage, key in keys_of(NOISE).items())


@pytest.fixture
def made_anew(tmp_path, monkeypatch) -> MadeAnew:
    """The stages whose keys change when a comment is added to a file, in a run composed from the arguments."""

    def compare(file: str, *arguments: str) -> set[str]:
        before = keys_of(arguments)
        changed = tmp_path / file
        changed.parent.mkdir(parents=True, exist_ok=True)
        changed.write_bytes((ROOT / file).read_bytes() + b"\n# a comment\n")
        find = modules.module_path
        with monkeypatch.context() as patched:
            patched.setattr(modules, "module_path", lambda name: changed if find(name) == ROOT / file else find(name))
            after = keys_of(arguments)
        return {name for name in before if before[name] != after[name]}

    return compare


@pytest.mark.parametrize(
    "file",
    [
        "runner/__init__.py",
        "runner/cli.py",
        "runner/core/artifacts.py",
        "runner/core/errors.py",
        "runner/core/hashing.py",
        "runner/core/lazy.py",
        "runner/core/locks.py",
        "runner/core/process.py",
        "runner/core/process_output.py",
        "runner/core/process_tree.py",
        "runner/config/schema.py",
        "runner/config/loading.py",
        "runner/config/permissions.py",
        "runner/config/targets.py",
        "runner/store/store.py",
        "runner/results/result.py",
        "runner/results/gates.py",
        "runner/pipeline/execute.py",
        "runner/pipeline/keys.py",
        "runner/report/tables.py",
        "runner/stages/__init__.py",
        "runner/stages/order.py",
        "runner/data/__init__.py",
        "runner/tasks/__init__.py",
        "runner/tasks/classification/__init__.py",
        "runner/tools/ascend/__init__.py",
    ],
)
def test_what_computes_no_result_makes_nothing_anew(made_anew, file) -> None:
    assert made_anew(file, *IMAGES) == set()
    assert made_anew(file, *ASCEND) == set()


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("runner/stages/export.py", {"export"}),
        ("runner/stages/score.py", {"score"}),
        ("runner/stages/invariance.py", {"invariance"}),
        ("runner/networks/network.py", {"weights", "export", "reference"}),
        ("runner/networks/random_weights.py", {"weights"}),
        ("runner/networks/downloads.py", set()),
        ("runner/graph/decompositions.py", {"export"}),
        ("runner/graph/onnx_files.py", {"export", "simplify", "compile", "infer", "benchmark"}),
        ("runner/graph/surgery.py", set()),
        ("runner/data/pictures.py", {"prepare"}),
        ("runner/data/batches.py", {"compile", "infer", "reference", "benchmark"}),
        ("runner/data/predictions.py", {"infer", "reference", "score", "invariance"}),
        ("runner/tasks/metrics.py", {"score", "invariance"}),
        ("runner/tasks/fidelity.py", {"score", "invariance"}),
        ("runner/tasks/classification/metrics.py", {"score"}),
        ("runner/tasks/classification/synthetic.py", {"prepare"}),
        ("runner/tasks/classification/image_folder.py", set()),
        ("runner/tasks/generation/noise.py", set()),
        ("runner/tools/onnxruntime.py", {"infer", "benchmark"}),
        ("runner/tools/ascend/ais_bench.py", set()),
        ("runner/tools/tensorrt/run.py", set()),
        ("runner/measure/loop.py", {"infer", "benchmark"}),
    ],
)
def test_what_computes_a_result_makes_its_stages_anew(made_anew, file, stages) -> None:
    assert made_anew(file, *IMAGES) == stages


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("runner/tools/ascend/atc.py", {"compile"}),
        ("runner/tools/ascend/_atc_flags.py", {"compile"}),
        ("runner/tools/ascend/ais_bench.py", {"infer", "benchmark"}),
        ("runner/tools/ascend/ais_infer.py", set()),
        ("runner/tools/ascend/benchmark_tool.py", set()),
        ("runner/tools/onnxruntime.py", set()),
        ("runner/tools/tensorrt/build.py", set()),
    ],
)
def test_a_tools_adapter_does_not_touch_another_tools_keys(made_anew, file, stages) -> None:
    assert made_anew(file, *ASCEND) == stages


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("zoo/dqn.py", {"weights", "export", "prepare", "reference"}),
        ("zoo/dcgan.py", set()),
        ("runner/tasks/control/atari.py", {"prepare"}),
        ("runner/tasks/generation/noise.py", set()),
    ],
)
def test_a_network_that_plays_makes_its_samples_anew(made_anew, file, stages) -> None:
    assert made_anew(file, *PLAYED) == stages


def test_a_preview_makes_nothing_anew(made_anew) -> None:
    assert made_anew("runner/tasks/generation/preview.py", *NOISE) == set()


def test_a_decode_makes_the_scores_anew_and_nothing_before_them() -> None:
    decoded = keys_of((*IMAGES, "+model.decode={_target_: runner.tasks.first_output}"))
    assert {name for name, key in keys_of(IMAGES).items() if key != decoded[name]} == {"score"}
