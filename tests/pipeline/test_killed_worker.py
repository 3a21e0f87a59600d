"""A launcher's worker that is killed, as by the kernel where memory runs out: the sweep says so and can go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.soak]

DEADLY = """
import os, pathlib, signal
from tiny_zoo.net import Tiny

class Deadly(Tiny):
    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        if classes == 3 and pathlib.Path(os.environ["DEADLY"]).exists():
            os.kill(os.getpid(), signal.SIGKILL)
"""
LAUNCHERS = {
    "joblib": ("hydra.launcher.n_jobs=2",),
    "ray": ("+hydra.launcher.ray.init.num_cpus=2", "+hydra.launcher.ray.init.include_dashboard=false"),
}


@pytest.fixture(params=LAUNCHERS)
def sweep(request: pytest.FixtureRequest, tiny_zoo: Path):
    """Run a sweep of two networks, the second of which kills its process while the file `deadly` is there."""
    pytest.importorskip(f"hydra_plugins.hydra_{request.param}_launcher", reason=f"needs the {request.param} extra")
    (tiny_zoo / "tiny_zoo" / "deadly.py").write_text(DEADLY)
    (tiny_zoo / "deadly").touch()
    command = [sys.executable, "-m", "runner", "--config-dir", "conf", "allow=[tiny_zoo]", "model=tiny"]
    command += ["model.network._target_=tiny_zoo.deadly.Deadly", "model.network.classes=4,3", "weights=random"]
    command += ["dataset=synthetic_images", "stages=[export]", "-m", f"hydra/launcher={request.param}"]

    def run(folder: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *LAUNCHERS[request.param], f"hydra.sweep.dir={folder}"],
            cwd=tiny_zoo,
            env=os.environ | {"DEADLY": str(tiny_zoo / "deadly"), "HOME": str(tiny_zoo)},
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run


def test_a_worker_that_is_killed_is_an_error_and_the_sweep_goes_on_when_typed_again(sweep, tiny_zoo: Path) -> None:
    killed = sweep("first")
    assert killed.returncode == 1, killed.stderr
    assert "Traceback" not in killed.stdout + killed.stderr
    assert "missing: job 1" in killed.stdout
    assert "error: " in killed.stderr
    (tiny_zoo / "deadly").unlink()
    again = sweep("second")
    assert again.returncode == 0, again.stderr
    assert "2 jobs: 2 done" in again.stdout
