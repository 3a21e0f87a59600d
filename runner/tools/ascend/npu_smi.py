"""What `npu-smi info` says of the chips: their names, their health, and who uses them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.core import Problem, ToolError, process

TIMEOUT_SECONDS = 30.0
PERIPHERAL_ONLY = "NA"
"""The Bus-Id of a chip that is not on a PCIe bus: the one on an Atlas 200 DK, as its public tables show it."""
DEVELOPER_KIT = "310_200DK"
"""The option of the 310 on an Atlas 200 DK, which has one chip where an Atlas 300I card has four."""
_A3 = "910"
"""What A3 cards are called; atc wants Ascend910_<NPU Name>, which `npu-smi info -t board` tells."""
_FAMILIES = {"310B": "310B", "310P": "310P", _A3: "910_93"}
"""Shortened names that some cards report, with what the names of their chips begin with."""
_NUMBER_AND_NAME = re.compile(r"(\d+)\s+(?:Ascend\s*)?(\S.*)")
_NUMBERS = re.compile(r"\d+(?:\s+\d+)?")
_MEMORY = re.compile(r"(\d+)\s*/\s*(\d+)\s*$")
_NOISE = "DrvMngGetConsoleLogLevel"


@dataclass(frozen=True)
class Chip:
    """A chip: its name without `Ascend`, such as "310P3" or "910B4-1", and what the table says of it.

    `processes` use it, such as "python3 (process 107)". None is what the table does not tell.
    """

    name: str
    health: str
    bus_id: str = ""
    temperature_celsius: int | None = None
    used_mb: int | None = None
    memory_mb: int | None = None
    processes: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """The option of `soc` for it."""
        return DEVELOPER_KIT if self.name == "310" and self.bus_id == PERIPHERAL_ONLY else self.name

    @property
    def state(self) -> str:
        """Health, temperature and memory in words."""
        told = [f"health {self.health}"]
        if self.temperature_celsius is not None:
            told.append(f"{self.temperature_celsius} °C")
        if self.memory_mb:
            told.append(f"{self.used_mb} of {self.memory_mb} MB in use")
        return ", ".join(told)


def parsed(text: str) -> list[Chip]:
    """Return the chips of the table of `npu-smi info`, in its order, which is that of the device indices.

    Each chip has two rows; the second has the memory, on 910 cards that of HBM at the end. Processes follow:

        | 0       310P3     | OK              | 15.8         42                0    / 0              |
        | 0       0         | 0000:82:00.0    | 0            1074 / 21534                            |
        | NPU     Chip      | Process id      | Process name             | Process memory(MB)        |
        | 0       0         | 107             | python3                  | 120                       |
    """
    chips: list[Chip] = []
    places: list[tuple[str, str]] = []  # number of the card and of the chip on it
    card = None
    for cells in _rows(text):
        if len(cells) == 4 and places and _NUMBERS.fullmatch(cells[0]):
            _add_process(chips, places, cells)
        elif len(cells) != 3:
            continue
        elif card is None:
            named = _NUMBER_AND_NAME.fullmatch(cells[0])
            if named is not None:
                card = named[1]
                words = cells[2].split()
                chips.append(Chip(named[2], cells[1], temperature_celsius=_whole(words[1]) if words[1:] else None))
        elif _NUMBERS.fullmatch(cells[0]):
            memory = _MEMORY.search(cells[2])
            places.append((card, cells[0].split()[0]))
            used_mb, memory_mb = (int(memory[1]), int(memory[2])) if memory else (None, None)
            chips[-1] = replace(chips[-1], bus_id=cells[1], used_mb=used_mb, memory_mb=memory_mb)
            card = None
    return chips


def _rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def _add_process(chips: list[Chip], places: Sequence[tuple[str, str]], cells: Sequence[str]) -> None:
    card, *on_card = cells[0].split()
    place = (card, on_card[0] if on_card else "0")
    if place in places[: len(chips)] and cells[1] != str(os.getpid()):
        index = places.index(place)
        process_name = f"{cells[2]} (process {cells[1]})".lstrip()
        chips[index] = replace(chips[index], processes=(*chips[index].processes, process_name))


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def chips(environment: Mapping[str, str] | None = None) -> list[Chip]:
    """Return the chips of this machine; none without npu-smi.

    Raises:
        ToolError: npu-smi fails, with its own words.
    """
    if process.found("npu-smi", environment) is None:
        return []
    with (
        tempfile.TemporaryDirectory(prefix="npu-smi-") as folder,
        process.logging_to(Path(folder)),
        process.recording(),  # apart from the commands that make the results
    ):
        finished = process.run(
            ["npu-smi", "info"],
            stage="preflight",
            name="npu-smi",
            timeout_seconds=TIMEOUT_SECONDS,
            environment=environment,
        )
        said = finished.log.read_text(errors="replace")
    found = parsed(said) if finished.returncode == 0 else []
    if not found:
        raise _failure(said, finished.returncode)
    return found


def _failure(said: str, returncode: int) -> ToolError:
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith(_NOISE)]
    words = lines[-1] if lines else f"nothing, with exit status {returncode}"
    if "-8020" in said:  # public logs of containers; the same number has both causes
        fix = (
            "in a container: mount /usr/local/dcmi, /usr/local/bin/npu-smi and /usr/local/Ascend/driver/lib64 from the "
            "host, and let no other container have the device (docs/ascend.md)"
        )
    else:
        fix = "run `npu-smi info` by hand; it needs the driver, and a user in the driver's group (HwHiAiUser)"
    return ToolError(f"npu-smi info says: {words}", fix)


def detected(environment: Mapping[str, str] | None = None) -> list[Chip]:
    """Return the chips of this machine; none if npu-smi is missing or fails, as it may where the card works."""
    try:
        return chips(environment)
    except ToolError:
        return []


def options() -> list[str]:
    """Return the options of `soc` for the chips of this machine, one a chip.

    Raises:
        ToolError: npu-smi fails, or names a family of chips alone.
    """
    names = [chip.option for chip in chips()]
    if _A3 in names:
        raise ToolError(
            "npu-smi info names the card Ascend910 alone, which several chips of A3 cards have in common",
            "`npu-smi info -t board -i 0 -c 0` tells its NPU Name: with 9392 there, choose soc=910_9392",
        )
    return names


def problems(soc_version: str, chips_per_card: int, found: Sequence[Chip]) -> list[Problem]:
    """Return a problem if no chip of the machine is the SoC's; none if there are no chips."""
    wanted = soc_version.removeprefix("Ascend")
    if not found:
        return []
    same = [chip for chip in found if _is_chip(wanted, chip.name)]
    if not same:
        present = ", ".join(dict.fromkeys(chip.name for chip in found))
        return [
            Problem(
                f"the soc is {soc_version}, but npu-smi info names {present}",
                f"choose the card's own, as in soc={found[0].option}, or soc=auto",
            )
        ]
    if chips_per_card > 1 and all(chip.option == DEVELOPER_KIT for chip in same):
        return [
            Problem(
                f"this 310 is on no PCIe bus (Bus-Id {PERIPHERAL_ONLY}): it is an Atlas 200 DK with one chip, no card "
                f"with {chips_per_card}",
                f"choose soc={DEVELOPER_KIT}",
            )
        ]
    return []


def _is_chip(wanted: str, name: str) -> bool:
    return wanted == name or (name in _FAMILIES and wanted.startswith(_FAMILIES[name]))


def disturbances(found: Sequence[Chip], devices: Sequence[int]) -> tuple[str, ...]:
    """Return why a measurement on these devices is not valid: a chip is in use, or its health is not OK."""
    reasons = []
    for device in devices:
        if device >= len(found):
            continue
        chip = found[device]
        if chip.processes:
            reasons.append(f"device {device} was in use before by {', '.join(chip.processes)}, says npu-smi info")
        if chip.health != "OK":
            reasons.append(f"the health of device {device} was {chip.health}, says npu-smi info")
    return tuple(reasons)


def states(found: Sequence[Chip], devices: Sequence[int]) -> str:
    """Return the state of these devices in words, for a figure's source; empty if it is not known."""
    told = [f"device {device} {found[device].state}" for device in devices if device < len(found)]
    return f"; before: {'; '.join(told)}" if told else ""
