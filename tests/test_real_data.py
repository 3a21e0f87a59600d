"""Published checkpoints on real data, where they are at hand (shared/data, or MODEL_ZOO_SHARED_DATA)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("MODEL_ZOO_SHARED_DATA", ROOT.parent / "shared" / "data"))

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not (DATA / "imagenet100").is_dir(), reason=f"no checkpoints and pictures in {DATA}"),
]


def run(folder: Path, model: str, weights: str, *more: str) -> dict[str, Any]:
    """The result of a scored run with PyTorch on a few samples; no gate may fail."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "runner", f"model={model}", f"weights={DATA / weights}"),
            *("hydra.run.dir=out", "stages=[score]", "gates.fidelity.samples=4", *more),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / "out" / "result.json").read_text())
    return found


def test_squeezenet_scores_what_its_weights_score_with_pytorch(tmp_path) -> None:
    more = (f"dataset.root={DATA / 'imagenet100'}", "batch=8", "gates.fidelity.samples=100")
    found = run(tmp_path, "squeezenet1_0", "squeezenet1_0_caffe.pth.tar", *more)
    assert found["accuracy"] == {"top1": 71.0, "top5": 89.0, "samples": 100}
    assert found["fidelity"]["top1_agreement"] == 100.0


def test_adnet_removes_noise_as_published(tmp_path) -> None:
    more = ("dataset=denoising", f"dataset.root={DATA / 'bsd68'}")
    found = run(tmp_path, "adnet", "adnet/model_70.pth", *more)
    assert found["accuracy"]["psnr"] == pytest.approx(29.2523, abs=0.02)


def test_srgan_enlarges_as_published(tmp_path) -> None:
    more = ("dataset=super_resolution", f"dataset.root={DATA / 'super_resolution_x2'}")
    found = run(tmp_path, "srgan_x2", "srgan/netG_epoch_2_100.pth", *more)
    assert found["accuracy"]["psnr"] == pytest.approx(28.6027, abs=0.001)
    assert found["accuracy"]["ssim"] == pytest.approx(0.8859, abs=0.001)


@pytest.mark.parametrize(("batch", "exact"), [(1, 89.4), (16, 90.1)])
def test_lprnet_reads_as_many_plates_as_published(tmp_path, batch: int, exact: float) -> None:
    more = ("dataset=plates", f"dataset.root={DATA / 'plates'}", f"batch={batch}")
    found = run(tmp_path, "lprnet", "lprnet/Final_LPRNet_model.pth", *more)
    assert found["accuracy"]["exact"] == pytest.approx(exact, abs=0.2)


def test_espnet_labels_streets_as_its_authors_code_does(tmp_path) -> None:
    more = ("dataset=camvid", f"dataset.root={DATA / 'camvid'}", "batch=4")
    found = run(tmp_path, "espnet_camvid", "espnet/espnet_p_2_q_8_camvid.pth", *more)
    assert found["accuracy"]["miou"] == pytest.approx(57.46, abs=0.05)
    assert found["accuracy"]["class_accuracy"] == pytest.approx(70.30, abs=0.05)


def test_yolov5n_finds_what_its_authors_code_finds(tmp_path) -> None:
    more = ("dataset=coco", f"dataset.root={DATA / 'coco_val128'}", "batch=4")
    found = run(tmp_path, "yolov5n", "yolov5n/yolov5n_state_dict.pth", *more)
    assert found["accuracy"]["map"] == pytest.approx(33.5, abs=0.1)
    assert found["accuracy"]["map50"] == pytest.approx(49.7, abs=0.1)
    by_pytorch, by_tool = (found["fidelity"][name]["map"] for name in ("accuracy", "tool_accuracy"))
    assert by_tool == pytest.approx(by_pytorch, abs=0.01)
