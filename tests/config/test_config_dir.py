"""A zoo outside this repository: `--config-dir DIR`, with the package of its hooks beside DIR."""

import json
import sys
from pathlib import Path

import pytest

from runner import diff
from runner.guide import __main__ as guide


@pytest.fixture
def elsewhere(tiny_zoo, monkeypatch) -> Path:
    """The tiny zoo, used from a folder that its package cannot be imported from."""
    (tiny_zoo / "elsewhere").mkdir()
    monkeypatch.chdir(tiny_zoo / "elsewhere")
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.startswith("tiny_zoo")]:
        monkeypatch.delitem(sys.modules, name)
    return tiny_zoo / "conf"


def test_hooks_beside_the_folder_are_found_in_the_runners_processes_too(elsewhere, tiny_arguments, run_main) -> None:
    options = ("weights=random", "allow=[tiny_zoo]", "benchmark.isolate=true")
    run_main(*tiny_arguments, *options, "--config-dir", str(elsewhere))
    assert json.loads(Path("out/result.json").read_text())["model"] == "tiny"


def test_a_sweep_finds_them_and_has_the_published_figures(elsewhere, tiny_arguments, run_main) -> None:
    options = ("weights=random", "allow=[tiny_zoo]", "stages=[benchmark]", "hydra.sweep.dir=sweep")
    done = run_main("-m", *tiny_arguments, *options, f"--config-dir={elsewhere}", "batch=1,2")
    assert "published" in done.stdout


def test_a_package_that_is_not_allowed_is_not_called(elsewhere, tiny_arguments, run_main) -> None:
    done = run_main(*tiny_arguments, "weights=random", "--config-dir", str(elsewhere), check=1)
    assert "allow=[" in done.stderr
    assert "tiny_zoo" not in sys.modules


def test_a_wrong_name_is_answered_with_the_nearest_of_both_zoos(elsewhere, run_main) -> None:
    done = run_main("model=tiyn", "--config-dir", str(elsewhere), check=1)
    assert done.stderr.startswith("error: there is no model=tiyn\n    fix: did you mean tiny?")


def test_what_the_runners_own_would_hide_is_refused(elsewhere, run_main) -> None:
    (elsewhere / "model" / "dqn.yaml").write_text("name: mine")
    done = run_main("model=dqn", "weights=random", "--config-dir", str(elsewhere), check=1)
    assert "is hidden by the runner's own model dqn" in done.stderr


def test_a_guide_of_a_users_model_has_commands_that_find_it(elsewhere, capsys) -> None:
    words = ["model=tiny", "--config-dir", str(elsewhere), "allow=[tiny_zoo]", "lang=en", "soc=cpu"]
    assert guide.main(words) == 0
    assert f"python -m runner --config-dir {elsewhere} model=tiny" in capsys.readouterr().out


def test_users_models_are_compared(elsewhere, capsys) -> None:
    sides = ["model=tiny", "model=tiny batch=2"]
    assert diff.main(["--config-dir", str(elsewhere), *sides]) == 1
    assert "batch.size: 1 -> 2" in capsys.readouterr().out


def test_a_soc_of_a_user_brings_one_of_the_runners_tools(tmp_path, composed) -> None:
    (tmp_path / "soc").mkdir()
    defaults = "defaults: [{override /tool@_global_.tool: ais_bench}]"
    (tmp_path / "soc" / "mine.yaml").write_text(f"{{name: mine, kind: ascend, {defaults}}}\n")
    assert composed("--config-dir", str(tmp_path), "model=dqn", "soc=mine").tool.name == "ais_bench"
