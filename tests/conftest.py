"""What several tests share: composing configurations, and a zoo outside the repository with one small network."""

from __future__ import annotations

import importlib
import os
import pathlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from omegaconf import DictConfig

from runner.__main__ import main
from runner.config import compose, loading, schema

STANDINS = Path(__file__).parent / "standins"
os.environ["STANDIN_PYTHON"] = sys.executable  # what tests/standins/python3 runs, for atc outside the environment

TINY_NETWORK = '''
"""A network of 4 classes on 8x8 pictures, small enough for tests."""

from torch import Tensor, nn


class Tiny(nn.Module):
    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.classifier = nn.Linear(5 * 6 * 6, classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(self.norm(self.features(image)).relu().flatten(1))
'''

TINY_MODEL = """
name: tiny
task: image_classification
reference: tests
network:
  _target_: tiny_zoo.net.Tiny
  classes: 4
checkpoint:
  file: tiny.pth
  where: nowhere
  unwrap: [state_dict]
inputs:
  - {name: image, shape: [3, 8, 8]}
outputs: [class]
preprocess:
  resize: 8
  crop: 8
  scale: 0.00392156862745098
fidelity:
  cosine: 0.999
  top1_agreement: 99.0
published:
  - {soc: cpu, batch: 1, accuracy: {top1: 99.0}, samples_per_second: 1.0, source: "a table, row 1"}
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-examples", type=int, default=0, help="how many cases each test in tests/fuzz tries")
    parser.addoption("--regenerate-goldens", action="store_true", help="rewrite tests/golden/ from what is composed")


@pytest.fixture
def composed() -> Callable[..., DictConfig]:
    """Compose a configuration as the command line does."""
    return lambda *arguments: compose.compose(arguments)


@pytest.fixture
def run_config(composed: Callable[..., DictConfig]) -> Callable[..., schema.RunConfig]:
    """The same as typed objects."""
    return lambda *arguments: loading.load(composed(*arguments))


@pytest.fixture
def tiny_zoo(tmp_path: Path) -> Path:
    """A folder with a hook package `tiny_zoo` and conf/model/tiny.yaml, as a user's own zoo."""
    package = tmp_path / "tiny_zoo"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "net.py").write_text(TINY_NETWORK)
    models = tmp_path / "conf" / "model"
    models.mkdir(parents=True)
    (models / "tiny.yaml").write_text(TINY_MODEL)
    return tmp_path


@dataclass(frozen=True)
class Done:
    """What a command line did."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run_main(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`python -m runner ...` in this process, so that PyTorch is imported once; fails on another exit code."""

    def run(*arguments: str, check: int = 0) -> Done:
        monkeypatch.setattr(sys, "argv", ["runner", *arguments])
        returncode = main()
        done = Done(returncode, *capfd.readouterr())
        assert returncode == check, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def quoted() -> Callable[[object], str]:
    """A value as Hydra's overrides take any text."""

    def quote(value: object) -> str:
        text = re.sub(r"(\\+)(?='|$)", r"\1\1", str(value))  # backslashes count only where a quote follows
        return "'" + text.replace("'", "\\'") + "'"

    return quote


@pytest.fixture
def tiny_arguments() -> list[str]:
    """What a short run of the tiny model takes, on eight synthetic pictures."""
    return [
        "model=tiny",
        "hydra.run.dir=out",
        "benchmark.min_seconds=0",
        "benchmark.min_iterations=2",
        "dataset=synthetic_images",
        "dataset.reader.count=8",
        "dataset.reader.classes=4",
    ]


@pytest.fixture
def run_tiny(
    tiny_zoo: Path, tiny_arguments: list[str], run_main: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    """`python -m runner --config-dir conf ... model=tiny` in the tiny zoo; pictures=DIR replaces the synthetic ones."""
    monkeypatch.chdir(tiny_zoo)
    monkeypatch.syspath_prepend(tiny_zoo)

    def run(*arguments: str, check: int = 0, pictures: str | None = None) -> Done:
        for name in [name for name in sys.modules if name.startswith("tiny_zoo")]:
            del sys.modules[name]  # as a new process would, see the hook's source as it is now
        importlib.invalidate_caches()
        data = ["dataset=imagenet", f"dataset.root={pictures}"] if pictures else tiny_arguments[4:]
        given = ("--config-dir", str(tiny_zoo / "conf"), *arguments)
        allowed = [] if any(argument.startswith("allow=") for argument in arguments) else ["allow=[tiny_zoo]"]
        named = {argument.partition("=")[0] for argument in arguments}
        own = [argument for argument in tiny_arguments[:4] if argument.partition("=")[0] not in named]
        return run_main(*given, *allowed, *own, *data, check=check)

    return run


@pytest.fixture
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every measurement in this process is valid, however busy the machine is; an invalid one is made again."""
    for check in ("unsettled", "busy", "throttled"):
        monkeypatch.setattr(f"runner.measure.loop.{check}", lambda *measured: ())


@pytest.fixture
def set_disk_call() -> Callable[[pytest.MonkeyPatch, str, Callable[..., object]], None]:
    """Put a function in the place of one of os, for pathlib too."""

    def set_call(patched: pytest.MonkeyPatch, name: str, function: Callable[..., object]) -> None:
        kept = getattr(pathlib, "_NormalAccessor", None)  # where Python 3.10's pathlib keeps functions of os
        if getattr(kept, name, None) is getattr(os, name):
            patched.setattr(kept, name, staticmethod(function))
        patched.setattr(os, name, function)

    return set_call


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CANN, ais_bench and a 310P3 card, all stand-ins."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("atc", "msprof", "npu-smi", "python3", "trtexec"):
        (programs / name).symlink_to(STANDINS / name)
    monkeypatch.setenv("PATH", f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(STANDINS))
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path))
    monkeypatch.setenv("STANDIN_CHIP", "310P3")
    monkeypatch.setenv("STANDIN_CHIPS", "310P3")
