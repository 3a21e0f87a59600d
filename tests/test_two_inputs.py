"""A network of a user's own that takes a picture and words, with a data set of their own, from checkpoint to table."""

import json

import numpy as np
import pytest

pytestmark = pytest.mark.slow

HOOK = '''
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from runner.data.storage import create_array, finish, stored_bytes, wanted_count, write_at


class Answers(nn.Module):
    """Answers a question of six words about a picture: which of four."""

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(3, 8, 3)
        self.words = nn.Embedding(50, 8)
        self.answer = nn.Linear(8, 4)

    def forward(self, image, question, mask):
        seen = self.look(image).relu().mean((2, 3))
        read = (self.words(question) * mask.unsqueeze(-1)).sum(1)
        return self.answer(seen * read)


@dataclass(frozen=True)
class Questions:
    count: int

    needs_policy = False
    seeded = True

    def validate(self, request):
        return []

    def content(self, request, hash_files):
        return None

    def stored_bytes(self, request):
        return stored_bytes(request.inputs, self.count)

    def write(self, request, out, policy):
        random = np.random.default_rng(request.seed)
        count = wanted_count(request.limit, self.count)
        image, question, mask = request.inputs
        arrays = {
            image: random.integers(0, 256, (count, *image.shape)).astype("uint8"),
            question: random.integers(0, 50, (count, *question.shape)).astype("int64"),
            mask: (random.random((count, *mask.shape)) < 0.7).astype("float32"),
        }
        for tensor, values in arrays.items():
            stored = create_array(out, type(tensor)(tensor.name, str(values.dtype), tensor.shape), count)
            with stored.path.open("r+b") as file:
                write_at(file.fileno(), values, stored.position(0))
        ids = [f"q{index}" for index in range(count)]
        return finish(out, request.inputs, ids, [index % 4 for index in range(count)])
'''

MODEL = """
name: answers
task: visual_question_answering
reference: tests
network: {_target_: answers_zoo.net.Answers}
checkpoint: {file: answers.pth, where: nowhere}
inputs:
  - {name: image, shape: [3, 8, 8]}
  - {name: question, shape: [6], dtype: int64}
  - {name: mask, shape: [6]}
outputs: [answer]
preprocess:
  scale: 0.00392156862745098
  mean: [0.485, 0.456, 0.406]
  std: [0.229, 0.224, 0.225]
fidelity: {cosine: 0.9999, top1_agreement: 99.0}
"""

DATASET = """
name: questions
reader: {_target_: answers_zoo.net.Questions, count: 10}
scored_against: labels
metrics:
  top1: {_target_: runner.tasks.classification.top_k, k: 1}
"""


@pytest.fixture
def run_answers(tmp_path, monkeypatch, run_main):
    """`python -m runner --config-dir conf model=answers ...` on the user's own questions; returns result.json."""
    package = tmp_path / "answers_zoo"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "net.py").write_text(HOOK)
    for group, name, text in (("model", "answers", MODEL), ("dataset", "questions", DATASET)):
        folder = tmp_path / "conf" / group
        folder.mkdir(parents=True)
        (folder / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, check: int = 0) -> dict:
        short = ("benchmark.min_seconds=0", "benchmark.min_iterations=2", "hydra.run.dir=out")
        given = ("--config-dir", "conf", "allow=[answers_zoo]", "model=answers", "weights=random")
        run_main(*given, *short, *arguments, check=check)
        return json.loads((tmp_path / "out" / "result.json").read_text())

    return run


@pytest.mark.parametrize("fixed", ["true", "false"])
def test_each_input_arrives_in_its_own_type_on_the_cpu(fixed, run_answers) -> None:
    found = run_answers("dataset=questions", "batch=4", f"model.export.fixed_batch={fixed}", "benchmark.input=real")
    assert (found["status"], found["stand_in"]) == ("ok", None)
    assert found["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-6)
    assert found["performance"]["samples_per_second"] > 0


def test_each_input_arrives_in_its_own_type_on_a_card(card, run_answers) -> None:
    found = run_answers("dataset=questions", "batch=4", "soc=310P3", "tool.adapter.loop=5")
    assert found["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-4)
    shapes = next(word for word in found["commands"][0]["argv"] if word.startswith("--input_shape="))
    assert shapes == "--input_shape=image:4,3,8,8;question:4,6;mask:4,6"


def test_each_input_is_prepared_once_as_it_was_written(run_answers) -> None:
    found = run_answers("dataset=questions", "stages=[prepare]")
    stored = {name: np.load(f"{found['artifacts']['samples']}/{name}.npy") for name in ("image", "question", "mask")}
    assert {name: str(array.dtype) for name, array in stored.items()} == {
        "image": "uint8",
        "question": "int64",
        "mask": "float32",
    }


def test_noise_stands_in_for_every_type(run_answers) -> None:
    found = run_answers("dataset=noise", "limit=6", "stages=[score,benchmark]")
    assert found["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-6)
    assert found["stand_in"] == "random whole numbers for question"


def test_arrays_in_a_folder_need_no_code(run_answers, tmp_path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "image.npy", random.integers(0, 256, (5, 3, 8, 8), np.uint8))
    np.save(tmp_path / "arrays" / "question.npy", random.integers(0, 50, (5, 6)))
    np.save(tmp_path / "arrays" / "mask.npy", random.random((5, 6), np.float32))
    found = run_answers("dataset=arrays", "dataset.root=arrays", "batch=2", "stages=[score]")
    assert found["accuracy"]["cosine"] == pytest.approx(1.0, abs=1e-6)


def test_words_beyond_the_vocabulary_are_told_with_the_samples(run_answers, tmp_path) -> None:
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "image.npy", np.zeros((2, 3, 8, 8), np.uint8))
    np.save(tmp_path / "arrays" / "question.npy", np.full((2, 6), 50))
    np.save(tmp_path / "arrays" / "mask.npy", np.ones((2, 6), np.float32))
    found = run_answers("dataset=arrays", "dataset.root=arrays", "stages=[reference]", check=1)
    assert (
        "cannot take the samples sample_00000, sample_00001: IndexError: index out of range"
        in found["error"]["message"]
    )
