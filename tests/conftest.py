"""What several tests share: composing configurations, and a zoo outside the repository with one small network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig

from runner import overrides, schema

REPOSITORY = Path(__file__).parent.parent

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
    parser.addoption("--regenerate-goldens", action="store_true", help="rewrite tests/golden/ from what is composed")


@pytest.fixture
def composed() -> Iterator[Callable[..., DictConfig]]:
    """Compose a configuration as the command line does."""
    schema.register()
    with initialize_config_module(version_base="1.3", config_module="conf"):

        def build(*arguments: str) -> DictConfig:
            adapted = overrides.adapt(arguments)
            overrides.register_batches(adapted)
            return compose("config", overrides=adapted)

        yield build


@pytest.fixture
def run_config(composed: Callable[..., DictConfig]) -> Callable[..., schema.RunConfig]:
    """The same as typed objects."""
    return lambda *arguments: schema.load(composed(*arguments))


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


@pytest.fixture
def run_tiny(tiny_zoo: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python -m runner --config-dir conf model=tiny ...` in the tiny zoo, on eight synthetic pictures."""

    def run(*arguments: str, check: int | None = 0, dataset: str = "synthetic_images") -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable, "-m", "runner", *arguments, "--config-dir", str(tiny_zoo / "conf"), "model=tiny",
            f"dataset={dataset}", "hydra.run.dir=out", "benchmark.min_seconds=0", "benchmark.min_iterations=2",
        ]
        if dataset == "synthetic_images":
            command += ["dataset.reader.count=8", "dataset.reader.classes=4"]
        environment = {**os.environ, "PYTHONPATH": f"{tiny_zoo}{os.pathsep}{REPOSITORY}"}
        done = subprocess.run(command, cwd=tiny_zoo, env=environment, capture_output=True, text=True, timeout=300)
        if check is not None:
            assert done.returncode == check, done.stdout + done.stderr
        return done

    return run
