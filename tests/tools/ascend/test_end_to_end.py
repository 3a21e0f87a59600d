"""The Ascend path from the command line, through strict stand-ins of CANN and the guides' tools."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

STANDINS = Path(__file__).parents[2] / "standins"
CARD = ("weights=random", "soc=310P3", "batch=3", "tool.adapter.loop=5")


def result(folder: Path, run_dir: str = "out") -> dict:
    return json.loads((folder / run_dir / "result.json").read_text())


def statuses(found: dict) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in found["stages"]}


TOOLS = {
    "ais_bench": (),
    "ais_infer": (f"tool.script={STANDINS / 'ais_infer.py'}",),
    "benchmark": (f"tool.program={STANDINS / 'benchmark.x86_64'}",),
}


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_a_model_goes_from_checkpoint_to_table(tool, card, run_tiny, tiny_zoo) -> None:
    run_tiny(*CARD, f"tool={tool}", *TOOLS[tool])
    found = result(tiny_zoo)
    assert (found["status"], found["soc"], found["tool"], found["batch"]) == ("ok", "310P3", tool, 3)
    assert set(statuses(found).values()) == {"ran"}
    assert found["artifacts"]["compiled"].endswith(".om")
    assert found["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-4)
    assert 0 < found["fidelity"]["max_abs"] < 0.1  # float16, as the card computes
    assert found["performance"]["samples_per_second"] > 0
    assert found["commands"][0]["stage"] == "compile"
    assert {command["stage"] for command in found["commands"]} == {"compile", "infer", "benchmark"}
    with np.load(found["artifacts"]["predictions"]) as arrays:
        assert arrays["class"].shape == (8, 4)


def test_each_program_leaves_its_log_in_the_run_folder(card, run_tiny, tiny_zoo) -> None:
    run_tiny(*CARD)
    assert {"ais_bench-version.log", "atc.log", "ais_bench.log"} <= {path.name for path in (tiny_zoo / "out").iterdir()}


def test_a_repeated_run_starts_no_program_and_still_tells_the_commands(
    card, run_tiny, tiny_zoo, monkeypatch, undisturbed
) -> None:
    run_tiny(*CARD)
    first = result(tiny_zoo)
    shutil.rmtree(tiny_zoo / "out")
    run_tiny(*CARD)
    assert set(statuses(result(tiny_zoo)).values()) == {"reused"}
    assert result(tiny_zoo)["commands"] == first["commands"]
    assert not list((tiny_zoo / "out").glob("atc*.log"))


def test_another_card_is_compiled_anew_from_the_same_onnx(card, run_tiny, tiny_zoo, monkeypatch) -> None:
    run_tiny(*CARD)
    monkeypatch.setenv("STANDIN_CHIP", "310")
    monkeypatch.setenv("STANDIN_CHIPS", "310")
    run_tiny(*CARD, "soc=310")
    found = statuses(result(tiny_zoo))
    assert [name for name, status in found.items() if status == "ran"] == ["compile", "infer", "benchmark"]


def test_a_310_counts_its_four_chips(card, run_tiny, tiny_zoo, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_CHIP", "310")
    monkeypatch.setenv("STANDIN_CHIPS", "310")
    run_tiny(*CARD, "soc=310")
    performance = result(tiny_zoo)["performance"]
    assert performance["samples_per_second"] == pytest.approx(4 * 3 * 1000 / performance["latency_ms"]["mean"])


def test_the_chip_that_is_there_is_taken(card, run_tiny, tiny_zoo) -> None:
    run_tiny(*CARD, "soc=auto")
    assert result(tiny_zoo)["soc"] == "310P3"


def test_two_devices_give_the_same_answers(card, run_tiny, tiny_zoo) -> None:
    run_tiny(*CARD)
    one = np.load(result(tiny_zoo)["artifacts"]["predictions"])["class"]
    run_tiny(*CARD, "device=[0,1]")
    two = np.load(result(tiny_zoo)["artifacts"]["predictions"])["class"]
    np.testing.assert_array_equal(one, two)


def test_the_card_normalises_with_aipp(card, run_tiny, tiny_zoo) -> None:
    scaled = ("model.preprocess.mean=[0.4,0.5,0.6]", "model.preprocess.std=[0.2,0.25,0.3]")
    run_tiny(*CARD, *scaled, "model.aipp=true")
    found = result(tiny_zoo)
    assert any(word.startswith("--insert_op_conf=") for word in found["commands"][0]["argv"])
    assert found["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-4)


def test_the_interface_of_python_serves_as_well(card, run_tiny, tiny_zoo, monkeypatch) -> None:
    monkeypatch.syspath_prepend(STANDINS)
    run_tiny(*CARD, "tool.mode=api")
    assert result(tiny_zoo)["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-4)


def test_trtexec_compiles_infers_and_measures(card, run_tiny, tiny_zoo) -> None:
    run_tiny("weights=random", "soc=t4", "batch=3")
    found = result(tiny_zoo)
    assert (found["tool"], found["status"]) == ("trtexec", "ok")
    assert found["artifacts"]["compiled"].endswith(".engine")


def test_without_cann_all_that_is_missing_is_told_at_once(run_tiny, tiny_zoo, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("ASCEND_HOME_PATH", raising=False)
    done = run_tiny("weights=random", "soc=310P3", "tool.python=/nowhere/python", check=1)
    assert "atc" in done.stderr
    assert "/nowhere/python" in done.stderr
    assert "docs/ascend.md" in done.stderr
    assert result(tiny_zoo)["error"]["stage"] == "preflight"


def test_another_chip_than_the_soc_is_told_before_anything_runs(card, run_tiny, tiny_zoo, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_CHIPS", "310")
    done = run_tiny(*CARD, check=1)
    assert "310P3" in done.stderr
    assert set(statuses(result(tiny_zoo)).values()) == set()


def test_an_opset_that_atc_does_not_read_is_told_before_anything_runs(card, run_tiny) -> None:
    assert "model.export.opset is 17; atc reads 8 to 13" in run_tiny(*CARD, "model.export.opset=17", check=1).stderr


def test_a_flag_that_atc_does_not_know_is_told_with_the_nearest(card, run_tiny) -> None:
    done = run_tiny(*CARD, "+model.atc.precision_mod=force_fp16", check=1)
    assert "did you mean precision_mode" in done.stderr


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("error", "exit status 1"),
        ("silent", "infer"),
        ("unwritten", "infer"),
        ("fewer", "infer"),
        ("duplicate", "infer"),
        ("tail", "infer"),
        ("truncated", "summary"),
        ("no-summary", "infer"),
        ("other-keys", "summary"),
    ],
)
def test_a_tool_that_fails_is_told_with_stage_command_and_log(
    fault, told, card, run_tiny, tiny_zoo, monkeypatch
) -> None:
    monkeypatch.setenv("STANDIN_FAULT", fault)
    done = run_tiny(*CARD, check=1)
    assert told in done.stderr
    assert "command: " in done.stderr
    assert "ais_bench.log" in done.stderr
    found = result(tiny_zoo)
    assert found["error"]["stage"] == "infer"
    assert not found["error"]["message"].startswith("infer")  # the stage is told beside it, once
    assert statuses(found)["compile"] == "ran"
    assert "-m" in found["commands"][-1]["argv"]


def test_a_tool_that_hangs_is_ended_at_its_time_out(card, run_tiny, tiny_zoo, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "hang")
    done = run_tiny(*CARD, "tool.adapter.timeout_seconds=1", check=1)
    assert "1 s" in done.stderr
    assert "ais_bench.log" in done.stderr


def test_a_device_that_is_not_there_is_told(card, run_tiny) -> None:
    assert "device" in run_tiny(*CARD, "device=200", check=1).stderr


def test_a_batch_too_large_for_the_card_is_told_and_the_next_one_runs(card, run_tiny, tiny_zoo, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "memory")
    run_tiny("-m", *CARD[:2], CARD[3], "batch=6,1", "hydra.sweep.dir=sweep", check=1)
    first, second = (result(tiny_zoo, f"sweep/{job}") for job in (0, 1))
    assert "batch 6 does not fit into memory" in first["error"]["message"]
    assert "try batch=3" in first["error"]["fix"]
    assert second["status"] == "ok"


def test_a_tool_that_the_kernel_kills_is_told_with_the_signal_and_a_smaller_batch(
    card, run_tiny, tiny_zoo, monkeypatch
) -> None:
    monkeypatch.setenv("STANDIN_FAULT", "killed")
    run_tiny(*CARD, check=1)
    error = result(tiny_zoo)["error"]
    assert "SIGKILL" in error["message"]
    assert "try batch=1" in error["fix"]


ODD = "a 'b' \"c\" ;touch pwned; $(touch pwned) `touch pwned` | & * é 汉 {x}=\n-d"


@pytest.mark.parametrize("tool", ["ais_bench", "ais_infer"])
def test_a_folder_whose_name_atc_refuses_is_told_before_the_run(tool, card, run_tiny, tiny_zoo, quoted) -> None:
    options = ("soc=310P3", "batch=3", "tool.adapter.loop=5", f"tool={tool}", *TOOLS[tool])
    place = tiny_zoo / ODD
    folders = f"cache_dir={quoted(place / 'cache')}", f"hydra.run.dir={quoted(place / 'run')}"
    assert "atc refuses the path" in run_tiny("weights=random", *options, *folders, check=1).stderr
    assert not list(tiny_zoo.rglob("pwned"))


def test_a_comma_that_the_tool_would_take_for_two_folders_is_told(card, run_tiny) -> None:
    assert "atc refuses the path" in run_tiny(*CARD, "cache_dir='a,b'", check=1).stderr


# --- inputs of free sizes --------------------------------------------------------------------------------------------

FREE_NETWORK = """
from torch import Tensor, nn


class Free(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.features(image).mean((2, 3))
"""
FREE_MODEL = """
name: free
task: image_classification
reference: tests
network:
  _target_: tiny_zoo.free.Free
checkpoint:
  file: free.pth
  where: nowhere
inputs:
  - {name: image, shape: [3, null, null]}
outputs: [class]
preprocess:
  fit: none
  scale: 0.00392156862745098
"""


@pytest.fixture
def run_free(run_tiny, tiny_zoo):
    """A run of a classifier of pictures of any size on three of 12 x 10 and two of 10 x 12 pixels, at batch 2."""
    (tiny_zoo / "tiny_zoo" / "free.py").write_text(FREE_NETWORK)
    (tiny_zoo / "conf" / "model" / "free.yaml").write_text(FREE_MODEL)
    pictures = tiny_zoo / "pictures"
    pictures.mkdir()
    (tiny_zoo / "val_label.txt").write_text("".join(f"{index}.png {index % 4}\n" for index in range(5)))
    generator = np.random.default_rng(0)
    for index, (width, height) in enumerate([(12, 10), (10, 12), (12, 10), (10, 12), (12, 10)]):
        Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(pictures / f"{index}.png")

    def run(*arguments: str, check: int = 0):
        given = ("model=free", "weights=random", "soc=310P3", "batch=2", *arguments)
        return run_tiny(*given, check=check, pictures=str(pictures))

    return run


@pytest.mark.parametrize("tool", ["ais_bench", "ais_infer"])
def test_pictures_of_two_sizes_are_compiled_for_and_run(tool, card, run_free, tiny_zoo, undisturbed) -> None:
    run_free(f"tool={tool}", *TOOLS[tool], "tool.adapter.loop=5")
    found = result(tiny_zoo)
    compiling, *calls = [command["argv"] for command in found["commands"]]
    assert "--dynamic_image_size=10,12;12,10" in compiling
    assert sorted(argv[argv.index("--dymHW") + 1] for argv in calls) == ["10,12", "10,12", "10,12", "12,10"]
    assert found["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-4)
    run_free(f"tool={tool}", *TOOLS[tool], "tool.adapter.loop=5")
    assert set(statuses(result(tiny_zoo)).values()) == {"reused"}


def test_trtexec_takes_pictures_of_two_sizes(card, run_free, tiny_zoo) -> None:
    run_free("soc=t4")
    assert "--maxShapes=image:2x3x12x12" in result(tiny_zoo)["commands"][0]["argv"]
    assert result(tiny_zoo)["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-4)


def test_a_dry_run_of_free_sizes_says_that_the_samples_decide_them(card, run_free) -> None:
    told = run_free("dry_run=true").stdout
    assert "-1 is a size of the samples, known after prepare" in told
    assert "--dynamic_image_size=-1,-1" in told
    assert "--dymHW -1,-1" in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("model.aipp=true",), "model.aipp is true, and sizes of image are free"),
        (("tool=benchmark", *TOOLS["benchmark"]), "benchmark runs models of one shape"),
        (("+model.atc.input_format=NCHW",), "model.atc.input_format is set, and sizes of image are free"),
        (("+model.atc.dynamic_dims='1;2'",), "take dynamic_dims out of model.atc"),
    ],
)
def test_what_free_sizes_exclude_is_told_before_anything_runs(options, told, card, run_free, tiny_zoo) -> None:
    done = run_free(*options, check=1)
    assert told in done.stderr
    assert result(tiny_zoo)["error"]["stage"] == "preflight"


def test_a_measurement_on_a_card_that_others_use_is_not_valid(card, run_tiny, tiny_zoo, monkeypatch) -> None:
    monkeypatch.setenv("STANDIN_PROCESS", "python3")
    run_tiny(*CARD)
    performance = result(tiny_zoo)["performance"]
    assert not performance["valid"]
    assert "device 0 was in use before by python3 (process 1), says npu-smi info" in performance["reasons"]
    assert "before: device 0 health OK, 42 °C, 1074 of 21534 MB in use" in performance["source"]
