"""What a configuration or a hook of an earlier version names is answered with where it is now."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.config import moved, permissions, targets
from runner.core import ConfigError

CHANGED = [
    ("dataset.reader", "runner.datasets.arrays.ArrayFolder", "runner.data.ArrayFolder"),
    ("dataset.reader", "runner.datasets.atari.AtariFrames", "runner.tasks.control.AtariFrames"),
    ("dataset.reader", "runner.datasets.images.ImageFolder", "runner.tasks.classification.ImageFolder"),
    ("dataset.reader", "runner.datasets.noise.Noise", "runner.tasks.generation.Noise"),
    ("dataset.reader", "runner.datasets.synthetic.SyntheticImages", "runner.tasks.classification.SyntheticImages"),
    ("dataset.metrics.x", "runner.metrics.classification.agreement", "runner.tasks.agreement"),
    ("dataset.metrics.x", "runner.metrics.classification.top_k", "runner.tasks.classification.top_k"),
    ("dataset.metrics.x", "runner.metrics.similarity.cosine", "runner.tasks.cosine"),
    ("dataset.metrics.x", "runner.metrics.similarity.cosine_accuracy", "runner.tasks.generation.cosine_accuracy"),
    (
        "dataset.metrics.x",
        "runner.metrics.similarity.mean_absolute_difference",
        "runner.tasks.mean_absolute_difference",
    ),
    ("dataset.preview", "runner.report.image_grid.write", "runner.tasks.generation.write_image_grid"),
    ("model.surgery", "runner.onnx_surgery.negative_pads_to_slices", "runner.graph.surgery.negative_pads_to_slices"),
    ("model.network", "runner.libraries.torchvision.build", "runner.networks.libraries.build_torchvision"),
    (
        "model.checkpoint.adapt",
        "runner.libraries.timm.adapt_checkpoint",
        "runner.networks.libraries.adapt_timm_checkpoint",
    ),
    ("tool.adapter", "runner.tools.ais_bench.AisBench", "runner.tools.ascend.AisBench"),
    ("tool.adapter", "runner.tools.ais_infer.AisInfer", "runner.tools.ascend.AisInfer"),
    ("tool.adapter", "runner.tools.benchmark_tool.BenchmarkTool", "runner.tools.ascend.BenchmarkTool"),
    ("tool.adapter", "runner.tools.trtexec.Trtexec", "runner.tools.tensorrt.Trtexec"),
    ("tool.compiler", "runner.compilers.atc.Atc", "runner.tools.ascend.Atc"),
    ("tool.compiler", "runner.compilers.trtexec.TrtexecBuild", "runner.tools.tensorrt.TrtexecBuild"),
]
"""Place in the configuration, the name in version 0.1, the name now."""


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Write a module of a user's package, which is allowed; returns its name."""

    def write(source: str) -> str:
        (tmp_path / "older_zoo").mkdir()
        (tmp_path / "older_zoo" / "__init__.py").write_text("")
        (tmp_path / "older_zoo" / "hook.py").write_text(source)
        importlib.invalidate_caches()
        return "older_zoo.hook"

    monkeypatch.syspath_prepend(tmp_path)
    permissions.allow(["older_zoo"])
    yield write
    for name in [name for name in sys.modules if name.startswith("older_zoo")]:
        del sys.modules[name]


@pytest.mark.parametrize(("place", "old", "new"), CHANGED, ids=[old for _, old, _ in CHANGED])
def test_a_target_of_an_earlier_version_is_answered_with_the_new_one(place: str, old: str, new: str) -> None:
    with pytest.raises(ConfigError) as error:
        targets.parse({"_target_": old}, place)
    assert error.value.message == f"{place} names {old}, which is now {new}"
    assert error.value.fix == f"write _target_: {new}"


@pytest.mark.parametrize(("place", "old", "new"), CHANGED, ids=[new for _, _, new in CHANGED])
def test_the_new_name_may_stand_in_the_same_place(place: str, old: str, new: str) -> None:
    assert callable(targets.locate(targets.parse({"_target_": new}, place)))


def test_no_other_names_are_said_to_have_moved() -> None:
    assert {(old, new) for _, old, new in CHANGED} == set(moved.CALLABLES.items())


def test_a_command_line_of_an_earlier_version_is_answered_before_anything_runs(
    run_main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    reader = "dataset.reader._target_=runner.datasets.images.ImageFolder"
    done = run_main("model=dqn", "weights=random", reader, "hydra.run.dir=out", "dry_run=true", check=1)
    assert "which is now runner.tasks.classification.ImageFolder" in done.stderr
    assert "write _target_: runner.tasks.classification.ImageFolder" in done.stderr


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        ("runner.artifacts", "TensorSpec", "runner.core"),
        ("runner.artifacts", "Timing", "runner.core"),
        ("runner.batches", "Batch", "runner.data"),
        ("runner.compilers", "CompileRequest", "runner.tools"),
        ("runner.datasets", "Request", "runner.data"),
        ("runner.errors", "CheckpointError", "runner.core"),
        ("runner.errors", "RunnerError", "runner.core"),
        ("runner.hashing", "sha256_of", "runner.core"),
        ("runner.preprocess", "Geometry", "runner.data"),
        ("runner.process", "run", "runner.core.process"),
        ("runner.progress", "track", "runner.core"),
        ("runner.schema", "RunConfig", "runner.config.schema"),
        ("runner.targets", "Target", "runner.config.targets"),
    ],
)
def test_a_hook_that_imports_a_module_that_moved_is_answered_with_where_the_name_is_now(
    old: str, name: str, new: str, hook
) -> None:
    module = hook(f"from {old} import {name}\n\n\nclass Hook:\n    pass\n")
    with pytest.raises(ConfigError) as error:
        targets.locate(targets.parse({"_target_": f"{module}.Hook"}, "model.network"))
    assert error.value.message == f"{module}.Hook: there is no module {old!r}"
    assert error.value.fix == f"it moved: import from {new}"
    assert hasattr(importlib.import_module(new), name)


@pytest.mark.parametrize("old", moved.MODULES)
def test_the_module_that_is_told_instead_of_another_is_there(old: str) -> None:
    new = moved.new_module(old)
    assert new is not None
    importlib.import_module(new)


def test_what_was_below_a_module_that_moved_is_told_with_it() -> None:
    assert moved.new_module("runner.metrics.similarity") == "runner.tasks"
    assert moved.new_module("runner.datasets.storage") == "runner.data"


def test_a_hook_that_imports_a_name_that_left_its_module_is_no_fault_of_the_runner(hook) -> None:
    module = hook("from runner.tools import Placement\n\n\nclass Hook:\n    pass\n")
    with pytest.raises(ConfigError, match="cannot be imported: ImportError: cannot import name 'Placement'") as error:
        targets.locate(targets.parse({"_target_": f"{module}.Hook"}, "model.network"))
    assert error.value.fix == f"correct {module}; CHANGELOG.md lists which names of the runner moved"


def test_a_hook_whose_module_fails_is_no_fault_of_the_runner(hook) -> None:
    module = hook("raise RuntimeError('no licence')\n")
    with pytest.raises(ConfigError, match="Hook cannot be imported: RuntimeError: no licence"):
        targets.locate(targets.parse({"_target_": f"{module}.Hook"}, "model.network"))


@pytest.mark.parametrize("name", ["runner", "runner.nothing", "nothing", "artifacts"])
def test_a_module_that_never_was_has_not_moved(name: str) -> None:
    assert moved.new_module(name) is None


def test_a_hook_that_imports_what_never_was_is_told_to_install_it(hook) -> None:
    module = hook("import nothing_of_this_name\n\n\nclass Hook:\n    pass\n")
    with pytest.raises(ConfigError, match="there is no module 'nothing_of_this_name'") as error:
        targets.locate(targets.parse({"_target_": f"{module}.Hook"}, "model.network"))
    assert error.value.fix == f"correct the name, or install the package that holds {module}"


TOOL = """
class Hook:
    def version(self): return "mine 1"
    def {neutral}(self, stage): return ()
    def {faults}(self, placement): return []
    def measuring(self): pass
    def commands(self, paths, placement, limits): return []
    def infer(self, model, placement, batches, work): pass
    def measure(self, model, placement, inputs, limits, work): pass
"""
READER = """
class Hook:
    needs_policy = seeded = False
    def faults(self, request): return []
    def content(self, request, hash_files): return None
    def stored_bytes(self, request): return 0
    def write(self, request, out, policy): pass
"""
COMPILER = """
class Hook:
    def version(self): return "mine 1"
    def neutral(self): return ()
    def faults(self, placement, flags, opset): return []
    def commands(self, request, out): return []
    def compile(self, request, out): return out
"""
BOTH = "rename its methods: faults is now validate, neutral is now excluded_from_key"


@pytest.mark.parametrize(
    ("place", "source", "lacks", "fix"),
    [
        ("tool.adapter", TOOL.format(neutral="neutral", faults="faults"), "excluded_from_key, validate", BOTH),
        (
            "tool.adapter",
            TOOL.format(neutral="excluded_from_key", faults="faults"),
            "validate",
            "rename its methods: faults is now validate",
        ),
        ("tool.compiler", COMPILER, "excluded_from_key, validate", BOTH),
        ("dataset.reader", READER, "validate", "rename its methods: faults is now validate"),
    ],
    ids=["tool", "one method of a tool", "compiler", "reader"],
)
def test_methods_of_an_earlier_version_are_answered_with_the_new_ones(
    place: str, source: str, lacks: str, fix: str, hook
) -> None:
    module = hook(source)
    with pytest.raises(ConfigError) as error:
        targets.call(targets.parse({"_target_": f"{module}.Hook"}, place))
    assert error.value.message == f"{place} names {module}.Hook, which lacks {lacks}"
    assert error.value.fix == fix


def test_a_tool_with_the_new_methods_is_taken(hook) -> None:
    module = hook(TOOL.format(neutral="excluded_from_key", faults="validate"))
    tool = targets.call(targets.parse({"_target_": f"{module}.Hook"}, "tool.adapter"))
    assert tool.version() == "mine 1"


def test_a_class_that_was_never_a_tool_is_told_what_it_lacks(hook) -> None:
    module = hook("class Hook:\n    def version(self): return 'mine 1'\n")
    with pytest.raises(ConfigError) as error:
        targets.call(targets.parse({"_target_": f"{module}.Hook"}, "tool.adapter"))
    assert error.value.fix == ("name a class that has excluded_from_key, validate, measuring, commands, infer, measure")
