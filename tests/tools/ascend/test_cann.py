"""CANN's environment script, and what npu-smi says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from runner.core import ToolError
from runner.tools.ascend import cann

STANDINS = Path(__file__).parents[2] / "standins"

GUIDES_TABLE = """
+-------------------+-----------------+------------------------------------------------------+
| NPU     Name      | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device    | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===================+=================+======================================================+
| 0       310P3     | OK              | 15.8         42                0    / 0              |
| 0       0         | 0000:82:00.0    | 0            1074 / 21534                            |
+===================+=================+======================================================+
| 1       310P3     | OK              | 15.4         43                0    / 0              |
| 0       1         | 0000:89:00.0    | 0            1070 / 21534                            |
+===================+=================+======================================================+
"""
CARD_OF_FOUR = """
| 0     310        | OK            | 12.8              49           0   / 0                       |
| 0     0          | 0000:05:00.0  | 0                 2621 / 8192                                |
| 0     310        | OK            | 12.8              49           0   / 0                       |
| 1     1          | 0000:06:00.0  | 0                 2621 / 8192                                |
"""
BOARD = """
| 0       310B4     | Alarm           | 0.0          51                15    / 15            |
| 0       0         | NA              | 0            1620 / 3513                             |
"""
TRAINING_CARD = """
| npu-smi 25.5.2                   Version: 25.5.2                                               |
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
| 5     910B4               | OK            | 89.9        39                0    / 0             |
| 0                         | 0000:41:00.0  | 0           0    / 0          2922 / 32768         |
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
| 5       0                 | 107           | python3                  | 120                     |
"""
A3 = """
| 0     Ascend910           | OK            | 157.3       32                0    / 0             |
| 0     0                   | 0000:9D:00.0  | 0           0    / 0          3130 / 65536         |
"""


@pytest.mark.parametrize(
    ("table", "chips"),
    [
        (GUIDES_TABLE, ["310P3", "310P3"]),
        (CARD_OF_FOUR, ["310", "310"]),
        (BOARD, ["310B4"]),
        (TRAINING_CARD, ["910B4"]),
        (A3, ["910"]),
        ("DrvMngGetConsoleLogLevel failed", []),
    ],
)
def test_chips_are_read_off_the_table(table: str, chips: list[str]) -> None:
    assert cann.npu_smi_chips(table) == chips


def test_the_machine_s_chips_are_asked_of_npu_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{STANDINS}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("STANDIN_CHIPS", "310P3,310B4")

    assert cann.detected_chips() == ["310P3", "310B4"]


@pytest.mark.parametrize("script", ["exit 1", "kill -9 $$"])
def test_an_npu_smi_that_fails_names_no_chips(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "npu-smi", f"echo '| 0 310P3 | OK |'; {script}")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert cann.detected_chips() == []


def test_without_npu_smi_there_are_no_chips(tmp_path: Path) -> None:
    assert cann.detected_chips({"PATH": str(tmp_path)}) == []


@pytest.mark.parametrize(
    ("soc_version", "chips", "faulty"),
    [
        ("Ascend310P3", ["310P3"], False),
        ("Ascend310P3", ["310"], True),
        ("Ascend310", ["310P3"], True),
        ("Ascend310P3", ["310", "310P3"], False),
        ("Ascend910_9392", ["910"], False),
        ("Ascend310P3", [], False),
    ],
)
def test_a_soc_that_is_not_the_card_s_is_a_problem(soc_version: str, chips: list[str], faulty: bool) -> None:
    problems = cann.chip_problems(soc_version, chips)

    assert bool(problems) == faulty
    if problems:
        assert chips[0] in problems[0].message
        assert f"soc={chips[0]}" in problems[0].fix


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


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
