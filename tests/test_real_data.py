"""Trained weights on photographs, where they are at hand (shared/data, or MODEL_ZOO_SHARED_DATA)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("MODEL_ZOO_SHARED_DATA", ROOT.parent / "shared" / "data"))


@pytest.mark.real_data
@pytest.mark.skipif(not (DATA / "imagenet100").is_dir(), reason=f"no photographs in {DATA}")
def test_squeezenet_scores_what_its_weights_score_with_pytorch(tmp_path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "runner",
            "model=squeezenet1_0",
            f"weights={DATA / 'squeezenet1_0_caffe.pth.tar'}",
            f"dataset.root={DATA / 'imagenet100'}",
            "batch=8",
            "hydra.run.dir=out",
            "stages=[score]",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out" / "result.json").read_text())
    assert found["accuracy"] == {"top1": 71.0, "top5": 89.0, "samples": 100}
    assert found["fidelity"]["top1_agreement"] == 100.0
