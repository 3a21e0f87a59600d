import subprocess
import sys

import numpy as np
import pytest

from runner.core import TensorSpec
from runner.data import Geometry, Request, rows
from runner.tasks.generation import Noise

PLAIN = Geometry(resize=None, interpolation="bilinear", crop=None, channels="rgb")
INPUTS = (TensorSpec("noise", "float32", (100, 1, 1)),)


def write(out, count, limit=None, seed=0, inputs=INPUTS):
    out.mkdir()
    return Noise(count).write(Request(inputs, PLAIN, limit, seed), out, None)


def test_noise_is_standard_normal_float32(tmp_path):
    values = np.load(write(tmp_path / "out", 2000).path / "noise.npy")
    assert (values.dtype, values.shape) == (np.float32, (2000, 100, 1, 1))
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02


def test_ids_are_those_of_the_guide_and_nothing_is_a_substitute(tmp_path):
    samples = write(tmp_path / "out", 3)
    assert rows.ids(samples.path) == ["noise_0000", "noise_0001", "noise_0002"]
    assert (samples.has_truth, samples.substitute) == (False, None)


def test_ids_are_wider_for_more_samples_and_independent_of_the_limit(tmp_path):
    assert rows.ids(write(tmp_path / "out", 10_001, limit=1).path) == ["noise_00000"]


def test_sample_is_the_same_whatever_the_limit(tmp_path):
    inputs = (TensorSpec("wide", "float32", (1 << 19,)),)  # two samples a chunk
    whole = write(tmp_path / "1", 5, inputs=inputs)
    part = write(tmp_path / "2", 5, limit=3, inputs=inputs)
    np.testing.assert_array_equal(np.load(part.path / "wide.npy"), np.load(whole.path / "wide.npy")[:3])


def test_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    digests = [write(tmp_path / str(index), 3, seed=seed).sha256 for index, seed in enumerate((4, 4, 5))]
    assert digests[0] == digests[1] != digests[2]


def test_every_input_gets_noise_of_its_own(tmp_path):
    inputs = (TensorSpec("a", "float32", (4,)), TensorSpec("b", "float32", (4,)))
    samples = write(tmp_path / "out", 2, inputs=inputs)
    assert not np.array_equal(np.load(samples.path / "a.npy"), np.load(samples.path / "b.npy"))


def test_whole_numbers_are_in_every_vocabulary_and_are_a_substitute(tmp_path):
    inputs = (TensorSpec("tokens", "int64", (50,)), TensorSpec("scale", "float16", (2,)))
    samples = write(tmp_path / "out", 3, inputs=inputs)
    tokens, scale = (np.load(samples.path / f"{tensor.name}.npy") for tensor in inputs)
    assert (tokens.dtype, scale.dtype, set(np.unique(tokens))) == (np.int64, np.float16, {0, 1})
    assert samples.substitute == "random whole numbers for tokens"


@pytest.mark.parametrize("count", [0, -5, "x"])
def test_count_below_one_is_a_problem(count):
    assert [problem.message for problem in Noise(count).validate(Request(INPUTS, PLAIN, None, 0))] == [
        f"dataset.reader.count is {count!r}"
    ]


CHILD = """
import resource, sys
from pathlib import Path
from runner.core import TensorSpec
from runner.data import Geometry, Request
from runner.tasks.generation import Noise
geometry = Geometry(resize=None, interpolation="box", crop=None, channels="rgb")
request = Request((TensorSpec("x", "float32", (1000,)),), geometry, None, 0)
Noise(int(sys.argv[1])).write(request, Path(sys.argv[2]), None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_memory_does_not_grow_with_the_samples(tmp_path):
    peaks = []
    for count in (2_000, 12_000):  # 8 and 48 MB
        (tmp_path / str(count)).mkdir()
        argv = [sys.executable, "-c", CHILD, str(count), str(tmp_path / str(count))]
        peaks.append(int(subprocess.run(argv, capture_output=True, check=True, timeout=120).stdout))
    assert peaks[1] - peaks[0] < 8e6
