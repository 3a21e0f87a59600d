"""CANN's environment script, and the environment of its compiler."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from runner.core import ToolError
from runner.tools.ascend import cann


def test_where_cann_is_here_the_environment_is_this_process_s(tmp_path: Path) -> None:
    assert cann.environment(str(tmp_path / "no_script.sh"), is_here=True) == dict(os.environ)


def test_where_it_is_not_the_script_is_sourced(tmp_path: Path) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text("export ASCEND_HOME=/somewhere\n")

    environment = cann.environment(str(script), is_here=False)

    assert environment is not None
    assert environment["ASCEND_HOME"] == "/somewhere"


def test_without_both_there_is_no_environment(tmp_path: Path) -> None:
    assert cann.environment(str(tmp_path / "no_script.sh"), is_here=False) is None


def test_a_script_that_fails_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text("return 3\n")

    with pytest.raises(ToolError, match="exit status 3"):
        cann.environment(str(script), is_here=False)


def test_the_newer_default_place_serves_for_the_older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = tmp_path / "set_env.sh"
    newer.write_text("")
    monkeypatch.setattr(cann, "NEWER_ENVIRONMENT_SCRIPT", str(newer))

    assert cann.environment_script(cann.ENVIRONMENT_SCRIPT) == newer
    assert cann.environment_script("/another/set_env.sh") is None


@pytest.fixture
def no_cann(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASCEND_HOME_PATH", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def test_cann_is_taken_as_it_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_HOME_PATH", "/somewhere")
    assert cann.tool_environment("/nonexistent/set_env.sh")["ASCEND_HOME_PATH"] == "/somewhere"


def test_a_tools_lines_reach_the_log_as_they_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_HOME_PATH", "/somewhere")
    assert cann.tool_environment("/nonexistent/set_env.sh")["PYTHONUNBUFFERED"] == "1"


def test_canns_script_is_sourced_where_it_is_not_set_up(no_cann: None, tmp_path: Path) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text("export ASCEND_HOME_PATH=/from/script\n")
    assert cann.tool_environment(str(script))["ASCEND_HOME_PATH"] == "/from/script"


def test_no_cann_at_all_is_an_error_with_a_fix(no_cann: None, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="CANN is not set up") as caught:
        cann.tool_environment(str(tmp_path / "set_env.sh"))
    assert "tool.environment_script" in caught.value.fix


@pytest.mark.parametrize("place", ["Ascend/cann", "Ascend/ascend-toolkit"])
def test_a_user_s_own_cann_serves_for_the_default(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "set_env.sh").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cann.environment_script(cann.ENVIRONMENT_SCRIPT) == tmp_path / place / "set_env.sh"


def test_atc_does_not_get_this_runner_s_virtual_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/venv")
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    environment = {
        "PATH": "/venv/bin:/usr/bin",
        "VIRTUAL_ENV": "/venv",
        "PYTHONHOME": "/venv",
        "PYTHONPATH": "/cann/python/site-packages:/venv/lib/python3.11/site-packages",
    }

    assert cann.compiler_environment(environment) == {
        "PATH": "/usr/bin",
        "PYTHONPATH": "/cann/python/site-packages",
    }


def test_without_a_driver_the_toolkit_s_library_is_linked_with(tmp_path: Path) -> None:
    folder = tmp_path / f"{platform.machine()}-linux" / "devlib"
    folder.mkdir(parents=True)
    (folder / "libascend_hal.so").touch()
    environment = {"ASCEND_HOME_PATH": str(tmp_path), "LD_LIBRARY_PATH": "/cann/lib64"}

    assert cann.compiler_environment(environment)["LD_LIBRARY_PATH"] == f"/cann/lib64:{folder}"


def test_a_driver_s_library_is_not_shadowed(tmp_path: Path) -> None:
    (tmp_path / f"{platform.machine()}-linux" / "devlib").mkdir(parents=True)
    (tmp_path / f"{platform.machine()}-linux" / "devlib" / "libascend_hal.so").touch()
    (tmp_path / "libascend_hal.so").touch()
    environment = {"ASCEND_HOME_PATH": str(tmp_path), "LD_LIBRARY_PATH": str(tmp_path)}

    assert cann.compiler_environment(environment) == environment


def test_a_python_without_cann_s_modules_is_a_problem_with_the_line_that_installs_them(tmp_path: Path) -> None:
    executable(tmp_path / "python3", "echo decorator, scipy")

    (problem,) = cann.python_problems({"PATH": str(tmp_path)})

    assert problem.message == f"atc takes {tmp_path / 'python3'}, which lacks decorator, scipy"
    assert f"{tmp_path / 'python3'} -m pip install attrs" in problem.fix


def test_the_modules_are_looked_for_by_that_python(tmp_path: Path) -> None:
    executable(tmp_path / "python3", f'exec {sys.executable} "$@"')
    for name in cann.PYTHON_MODULES:
        (tmp_path / f"{name}.py").touch()

    assert cann.python_problems({"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(tmp_path)}) == []


def test_no_python_for_atc_is_a_problem(tmp_path: Path) -> None:
    (problem,) = cann.python_problems({"PATH": str(tmp_path)})
    assert "there is none on the PATH" in problem.message


@pytest.mark.parametrize(
    ("soc_version", "folder"),
    [
        ("Ascend310", "ascend310"),
        ("Ascend310P3", "ascend310p"),
        ("Ascend310B4", "ascend310b"),
        ("Ascend910ProB", "ascend910"),
        ("Ascend910B", "ascend910"),
        ("Ascend910B4-1", "ascend910b"),
        ("Ascend910_9392", "ascend910_93"),
    ],
)
def test_each_chip_has_its_folder_of_operators(soc_version: str, folder: str) -> None:
    assert cann.operators_of(soc_version) == folder


def test_operators_of_another_chip_alone_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "built-in/op_impl/ai_core/tbe/config/ascend910b").mkdir(parents=True)
    environment = {"ASCEND_OPP_PATH": str(tmp_path)}

    (problem,) = cann.operator_problems(environment, "Ascend310P3")

    assert "operators for ascend910b, and none for ascend310p" in problem.message
    assert cann.operator_problems(environment, "Ascend910B4") == []
    assert cann.operator_problems({}, "Ascend310P3") == []


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
