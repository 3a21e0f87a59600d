"""What npu-smi says: tables as they are published, and its own words where it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.core import ToolError
from runner.tools.ascend import npu_smi

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
A3_IN_USE = """
| 7     Ascend910           | OK            | -           36                0    / 0             |
| 0     14                  | 0000:81:00.0  | 0           0    / 0          3187 / 65536         |
| 7     Ascend910           | OK            | -           37                0    / 0             |
| 1     15                  | 0000:83:00.0  | 0           0    / 0          3187 / 65536         |
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
| 7       1                 | 3333165       |                          | 50119                   |
| No running processes found in NPU 6                                                            |
"""
KIT = """
| 0       310               | OK            | 12.8        49                0    / 970           |
| 0       0                 | NA            | 0           2621 / 8192                            |
"""
CONTAINER = """DrvMngGetConsoleLogLevel failed. (g_conLogLevel=3)
dcmi model initialized failed, because the device is used. ret is -8020
"""


@pytest.mark.parametrize(
    ("table", "chips"),
    [
        (GUIDES_TABLE, ["310P3", "310P3"]),
        (CARD_OF_FOUR, ["310", "310"]),
        (BOARD, ["310B4"]),
        (TRAINING_CARD, ["910B4"]),
        (TRAINING_CARD.replace("910B4  ", "910B4-1"), ["910B4-1"]),
        (TRAINING_CARD.replace("910B4     ", "910ProB   "), ["910ProB"]),
        (TRAINING_CARD.replace("910B4      ", "Ascend 910B"), ["910B"]),
        (A3, ["910"]),
        (CONTAINER, []),
    ],
)
def test_chips_are_read_off_the_table(table: str, chips: list[str]) -> None:
    assert [chip.name for chip in npu_smi.parsed(table)] == chips


def test_health_temperature_and_memory_are_read_too() -> None:
    (chip,) = npu_smi.parsed(BOARD)
    assert chip.state == "health Alarm, 51 °C, 1620 of 3513 MB in use"


def test_the_memory_of_a_910_is_that_of_hbm() -> None:
    (chip,) = npu_smi.parsed(TRAINING_CARD)
    assert (chip.used_mb, chip.memory_mb) == (2922, 32768)


def test_processes_are_those_of_their_chip() -> None:
    first, second = npu_smi.parsed(A3_IN_USE)
    assert (first.processes, second.processes) == ((), ("(process 3333165)",))
    assert npu_smi.parsed(TRAINING_CARD)[0].processes == ("python3 (process 107)",)


def test_the_own_process_does_not_disturb() -> None:
    (chip,) = npu_smi.parsed(TRAINING_CARD.replace("107  ", f"{os.getpid():<5}"))
    assert chip.processes == ()


def test_a_chip_in_use_and_one_that_is_not_healthy_disturb_a_measurement() -> None:
    chips = npu_smi.parsed(TRAINING_CARD) + npu_smi.parsed(BOARD) + npu_smi.parsed(A3)

    assert npu_smi.disturbances(chips, (0, 1, 2, 3)) == (
        "device 0 was in use before by python3 (process 107), says npu-smi info",
        "the health of device 1 was Alarm, says npu-smi info",
    )
    assert npu_smi.states(chips, (2,)) == "; before: device 2 health OK, 32 °C, 3130 of 65536 MB in use"
    assert npu_smi.states([], (0,)) == ""


def test_the_machine_s_chips_are_asked_of_npu_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{STANDINS}:{os.environ['PATH']}")
    monkeypatch.setenv("STANDIN_CHIPS", "310P3,310B4")

    assert npu_smi.options() == ["310P3", "310B4"]


def test_npu_smi_s_own_words_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "npu-smi", f"cat <<'END'\n{CONTAINER}END\nexit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(ToolError, match=r"because the device is used\. ret is -8020") as caught:
        npu_smi.options()
    assert "mount /usr/local/dcmi" in caught.value.fix
    assert npu_smi.detected() == []


def test_the_chip_of_an_a3_card_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "npu-smi", f"cat <<'END'\n{A3}END")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(ToolError, match="names the card Ascend910 alone") as caught:
        npu_smi.options()
    assert "soc=910_9392" in caught.value.fix


def test_an_atlas_200_dk_is_no_card_of_four_chips() -> None:
    (chip,) = npu_smi.parsed(KIT)

    assert chip.option == "310_200DK"
    (problem,) = npu_smi.problems("Ascend310", 4, [chip])
    assert "Atlas 200 DK with one chip" in problem.message
    assert npu_smi.problems("Ascend310", 1, [chip]) == []
    assert npu_smi.problems("Ascend310", 4, npu_smi.parsed(CARD_OF_FOUR)) == []


def test_without_npu_smi_there_are_no_chips(tmp_path: Path) -> None:
    assert npu_smi.chips({"PATH": str(tmp_path)}) == []


@pytest.mark.parametrize(
    ("soc_version", "chips", "faulty"),
    [
        ("Ascend310P3", ["310P3"], False),
        ("Ascend310P3", ["310"], True),
        ("Ascend310", ["310P3"], True),
        ("Ascend310P3", ["310", "310P3"], False),
        ("Ascend910_9392", ["910"], False),
        ("Ascend910B4", ["910"], True),
        ("Ascend910B4", ["910B4-1"], True),
        ("Ascend310P3", [], False),
    ],
)
def test_a_soc_that_is_not_the_card_s_is_a_problem(soc_version: str, chips: list[str], faulty: bool) -> None:
    problems = npu_smi.problems(soc_version, 1, [npu_smi.Chip(name, "OK") for name in chips])

    assert bool(problems) == faulty
    if problems:
        assert chips[0] in problems[0].message
        assert f"soc={chips[0]}" in problems[0].fix


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
