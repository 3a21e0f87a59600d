"""Digests of source: what a module imports counts, and what has nothing to do with it does not."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from runner.core import modules
from runner.pipeline.keys import COUNTED

OWN = {
    "__init__.py": "",
    "stages/__init__.py": "",
    "stages/score.py": "from own.tasks import top_k\nfrom own.core import Error\n",
    "tasks/__init__.py": "from own.tasks.metrics import top_k\nfrom own.tasks.noise import Noise\n",
    "tasks/metrics.py": "from own.data import rows\ndef top_k(): return 1\n",
    "tasks/noise.py": "class Noise: pass\n",
    "data/__init__.py": "from own.data.pictures import load\n",
    "data/pictures.py": "def load(): pass\n",
    "data/rows.py": "import own.data.storage\n",
    "data/storage.py": "A = 1\n",
    "core/__init__.py": "from own.core.errors import Error\n",
    "core/errors.py": "class Error(Exception): pass\n",
}
"""A package that is laid out as the runner is, with the runner's `core.modules` in it."""
WINGS = ("own.stages", "own.tasks", "own.data")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`core.modules` of that package."""
    for name, source in OWN.items():
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    shutil.copyfile(modules.__file__, tmp_path / "own" / "core" / "modules.py")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("own.core.modules")
    for name in [name for name in sys.modules if name.partition(".")[0] == "own"]:
        del sys.modules[name]


@pytest.fixture
def change(tmp_path: Path) -> Callable[[str], None]:
    """Add a line to a module of that package."""

    def add(name: str) -> None:
        path = tmp_path / "own" / name
        path.write_text(path.read_text() + "CHANGED = True\n")

    return add


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a package of a user's: zoo(net="...", blocks="..."); returns its folder."""

    def write(**sources: str) -> Path:
        package = tmp_path / "digest_zoo"
        package.mkdir()
        for name, source in {"__init__": "", **sources}.items():
            (package / f"{name}.py").write_text(source)
        return package

    monkeypatch.syspath_prepend(tmp_path)
    return write


def test_a_name_is_followed_through_the_face_to_the_module_that_defines_it(own) -> None:
    assert set(own.sources("own.tasks.top_k", WINGS)) == {"own.tasks.metrics", "own.data.rows", "own.data.storage"}


def test_only_counted_modules_count(own) -> None:
    assert set(own.sources("own.stages.score", ("own.stages", "own.tasks"))) == {
        "own.stages.score",
        "own.tasks.metrics",
    }
    assert own.sources("own.stages.score") == {}


@pytest.mark.parametrize("name", ["stages/score.py", "tasks/metrics.py", "data/rows.py", "data/storage.py"])
def test_a_digest_changes_with_each_module_that_is_called(name: str, own, change) -> None:
    before = own.source_digest("own.stages.score", WINGS)
    change(name)
    assert own.source_digest("own.stages.score", WINGS) != before


@pytest.mark.parametrize("name", ["tasks/noise.py", "data/pictures.py", "tasks/__init__.py", "core/errors.py"])
def test_a_digest_does_not_change_with_what_only_the_same_face_hands_on(name: str, own, change) -> None:
    before = own.source_digest("own.stages.score", WINGS)
    change(name)
    assert own.source_digest("own.stages.score", WINGS) == before


def test_a_hook_is_the_same_by_its_face_and_by_its_module(own) -> None:
    assert own.source_digest("own.tasks.top_k", WINGS) == own.source_digest("own.tasks.metrics.top_k", WINGS)
    assert own.source_digest("own.tasks.top_k", WINGS) == own.source_digest("own.tasks.metrics", WINGS)


def test_nothing_is_imported_for_a_digest(own) -> None:
    own.source_digest("own.stages.score", WINGS)
    assert {"own.stages", "own.tasks", "own.data"} & set(sys.modules) == set()


def test_a_runners_hook_counts_its_own_source_and_no_face() -> None:
    found = set(modules.sources("runner.tasks.classification.top_k", COUNTED))
    assert "runner.tasks.classification.metrics" in found
    assert not found & {"runner.tasks", "runner.tasks.classification", "runner.tasks.classification.image_folder"}
    assert all(modules.is_in(name, COUNTED) for name in found)


def test_the_digest_of_a_module_changes_with_a_module_that_it_imports(zoo) -> None:
    package = zoo(net="def build():\n    from . import blocks\n    return blocks.A\n", blocks="A = 1\n")
    before = modules.source_digest("digest_zoo.net")
    (package / "blocks.py").write_text("A = 2\n")
    assert modules.source_digest("digest_zoo.net") != before


def test_the_digest_of_a_users_module_changes_with_the_init_of_a_package_that_it_imports(zoo) -> None:
    package = zoo(net="import digest_zoo\n")
    before = modules.source_digest("digest_zoo.net")
    (package / "__init__.py").write_text("A = 2\n")
    assert modules.source_digest("digest_zoo.net") != before


def test_the_digest_of_a_module_ignores_other_modules(zoo) -> None:
    package = zoo(net="A = 1\n")
    before = modules.source_digest("digest_zoo.net")
    (package / "other.py").write_text("A = 2\n")
    assert modules.source_digest("digest_zoo.net") == before


def test_the_name_of_a_callable_has_the_digest_of_its_module(zoo) -> None:
    zoo(net="def build(): pass\n")
    assert modules.source_digest("digest_zoo.net.build") == modules.source_digest("digest_zoo.net")


def test_modules_that_import_each_other_are_read_once(zoo) -> None:
    zoo(net="from digest_zoo import blocks\n", blocks="from digest_zoo import net\n")
    assert {"digest_zoo.net", "digest_zoo.blocks"} <= set(modules.sources("digest_zoo.net"))


def test_the_version_of_a_library_stands_for_its_source() -> None:
    assert modules.source_digest("timm").startswith("timm ")
    assert modules.source_digest("torchvision.models.resnet18").startswith("torchvision ")


@pytest.mark.parametrize(
    ("name", "libraries"),
    [
        ("runner.networks.libraries.build_torchvision", ("timm", "torch", "torchvision")),
        ("zoo.dqn", ("torch",)),
        ("zoo.dqn.NatureDQN", ("torch",)),
        ("torchvision.models", ()),  # its own version counts already
        ("runner.tasks.classification.top_k", ()),
    ],
)
def test_the_libraries_that_a_hook_calls_are_found_in_its_source(name: str, libraries: tuple[str, ...]) -> None:
    assert modules.libraries_of(name, COUNTED) == libraries


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("runner.core.modules", "runner/core/modules.py"),
        ("runner.core", "runner/core/__init__.py"),
        ("runner", "runner/__init__.py"),
        ("zoo.dqn", "zoo/dqn.py"),
    ],
)
def test_a_module_is_found_by_its_name(name: str, place: str) -> None:
    path = modules.module_path(name)
    assert path is not None
    assert path.resolve() == (Path(__file__).parents[2] / place).resolve()


@pytest.mark.parametrize("name", ["runner.nothing", "nothing_of_this_name", "nothing_of_this_name.below", "zoo.dqn.x"])
def test_a_module_that_there_is_not_is_not_found(name: str) -> None:
    assert modules.module_path(name) is None


@pytest.mark.parametrize(
    ("name", "inside"),
    [("runner.tasks", True), ("runner.tasks.x.Y", True), ("runner.tasksman", False), ("runner", False)],
)
def test_a_name_is_in_a_package_by_whole_parts(name: str, inside: bool) -> None:
    assert modules.is_in(name, ("runner.tasks", "zoo")) == inside
