"""ESPNet's own weights on CamVid, where they are at hand (shared/data, or MODEL_ZOO_SHARED_DATA)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("MODEL_ZOO_SHARED_DATA", ROOT.parent / "shared" / "data"))


@pytest.mark.real_data
@pytest.mark.skipif(not (DATA / "camvid").is_dir(), reason=f"no CamVid in {DATA}")
def test_espnet_scores_what_its_authors_code_scores(tmp_path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "runner",
            "model=espnet_camvid",
            f"weights={DATA / 'espnet' / 'espnet_p_2_q_8_camvid.pth'}",
            "dataset=camvid",
            f"dataset.root={DATA / 'camvid'}",
            "hydra.run.dir=out",
            "stages=[score]",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    accuracy = json.loads((tmp_path / "out" / "result.json").read_text())["accuracy"]
    assert accuracy["miou"] == pytest.approx(57.46, abs=0.05)
    assert accuracy["class_accuracy"] == pytest.approx(70.30, abs=0.05)
