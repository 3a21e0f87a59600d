import re

import pytest

from runner.guide import steps

TINY = ("model=dcgan", "weights=random", "soc=310P3", "batch=2", "limit=3")


@pytest.fixture
def step(tmp_path, monkeypatch, capfd, card):
    """`python -m runner.guide.steps ...` in an empty folder; its output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, check: int = 0) -> str:
        assert steps.main(arguments) == check
        done = capfd.readouterr()
        return done.out + done.err

    return run


@pytest.fixture
def outputs(tmp_path):
    """Write three outputs of zeros, as ais_bench names them; `count` of each sample, `size` bytes each."""

    def write(count: int = 1, size: int = 4 * 32 * 32) -> None:
        (tmp_path / "result").mkdir(exist_ok=True)
        for sample in range(3):
            for number in range(count):
                (tmp_path / "result" / f"{sample:08d}_{number}.bin").write_bytes(bytes(size))

    return write


def test_samples_are_files_of_what_the_compiled_model_takes(step, tmp_path) -> None:
    assert "samples: 3 in samples" in step("samples", "samples", *TINY)
    files = sorted((tmp_path / "samples" / "0").iterdir())
    assert [(path.name, path.stat().st_size) for path in files] == [(f"{n:08d}.bin", 400) for n in range(3)]


def test_files_of_an_earlier_inference_are_not_mixed_in(step, tmp_path) -> None:
    step("samples", "samples", *TINY, "limit=5")
    step("samples", "samples", *TINY)
    assert len(list((tmp_path / "samples" / "0").iterdir())) == 3


def test_the_model_has_the_shape_of_the_batch(step, tmp_path) -> None:
    import onnx

    step("onnx", "dcgan_bs2.onnx", *TINY)
    model = onnx.load(tmp_path / "dcgan_bs2.onnx")
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2


def test_wrong_outputs_are_scored_and_fail_a_gate(step, outputs) -> None:
    outputs()
    assert re.search("fail fidelity.image.cosine", step("score", "result", *TINY, check=2))


@pytest.mark.parametrize(
    ("count", "size", "told"),
    [
        (2, 4096, "has 1 files NUMBER_OUTPUT.bin for 0 of 3 samples; sample 00000000 has 2"),
        (1, 12, "has 12 bytes, and the output image [1, 32, 32] of float32 has 4096"),
        (0, 0, "has 1 files NUMBER_OUTPUT.bin for 0 of 3 samples; sample 00000000 has 0"),
    ],
)
def test_outputs_that_do_not_fit_are_an_error(step, outputs, count, size, told) -> None:
    outputs(count, size)
    assert told in step("score", "result", *TINY, check=1)


def test_outputs_of_two_inferences_are_an_error(step, outputs, tmp_path) -> None:
    outputs()
    (tmp_path / "result" / "again").mkdir()
    (tmp_path / "result" / "again" / "00000000_0.bin").touch()
    assert "are outputs of one sample" in step("score", "result", *TINY, check=1)


def test_free_sizes_have_no_files(step) -> None:
    told = step("samples", "samples", "model=adnet", "dataset=synthetic_textures", "soc=310P3", "limit=2", check=1)
    assert "sizes of model=adnet's inputs differ between samples" in told
