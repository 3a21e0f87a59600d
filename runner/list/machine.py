"""What the tools and cards of this machine lack to run on a SoC."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config import targets
from runner.core import Placement, Problem, RunnerError, process
from runner.core.environment import package_version
from runner.tools.ascend import npu_smi

ANY_OPSET = 11
"""An opset that every compiler supports."""


@dataclass
class Machine:
    """The tools and cards of this machine, each looked up once."""

    tools: Mapping[str, Mapping[str, Any]]
    own_tools: frozenset[str]
    missing_modules: Callable[[object], Iterator[str]]
    _known: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def lacks(self, tool: str, kind: str) -> list[str]:
        """Return what a tool lacks here to run on SoCs of a kind: programs, packages, settings."""
        if (tool, kind) not in self._known:
            self._known[tool, kind] = list(dict.fromkeys(self._lacks(tool, kind)))
        return self._known[tool, kind]

    def _lacks(self, tool: str, kind: str) -> Iterator[str]:
        try:
            resolved: Any = OmegaConf.to_container(OmegaConf.create({"tool": dict(self.tools[tool])}), resolve=True)
        except OmegaConfBaseException as error:
            yield str(error).splitlines()[0]
            return
        present = f"Ascend{self.chips[0].name}" if kind == "ascend" and self.chips else ""
        placement = Placement(soc=kind, kind=kind, devices=(0,), soc_version=present)
        for role in ("adapter", "compiler"):
            node = resolved["tool"].get(role)
            if node and not str(node.get("_target_")).startswith("runner."):
                yield from self.missing_modules(node.get("_target_"))  # listing must not run code of others
            elif node:
                yield from _problems(node, role, placement, starts_programs=tool in self.own_tools)

    def lacks_card(self, kind: str, soc_version: str | None) -> list[str]:
        """Return why no tool can use a SoC here: the card is missing or another one."""
        if kind == "ascend":
            if not self.chips:
                return ["npu-smi names no Ascend card"]
            return [problem.message for problem in npu_smi.problems(soc_version or "", 1, self.chips)]
        if kind in ("cuda", "nvidia") and shutil.which("nvidia-smi") is None:
            return ["nvidia-smi is not on the PATH: no NVIDIA GPU is set up"]
        return []

    @cached_property
    def chips(self) -> list[npu_smi.Chip]:
        """The Ascend chips that npu-smi reports."""
        return npu_smi.detected()


def _problems(node: Mapping[str, Any], role: str, placement: Placement, starts_programs: bool) -> Iterator[str]:
    """Yield the problems of one of the runner's own adapters or compilers, and of its programs if it may start them."""
    if str(node["_target_"]).startswith("runner.tools.onnxruntime.") and placement.kind == "cuda":
        if package_version("onnxruntime-gpu") is None:  # its own check imports onnxruntime
            yield "onnxruntime-gpu is not installed"
        return
    try:
        adapter = targets.call(targets.parse(node, f"tool.{role}"))
        if not starts_programs:
            return
        with tempfile.TemporaryDirectory(prefix="runner-list-") as folder, process.logging_to(Path(folder)):
            problems: Sequence[Problem] = (
                adapter.validate(placement) if role == "adapter" else adapter.validate(placement, {}, ANY_OPSET)
            )
    except RunnerError as error:
        problems = [Problem(error.message)]
    yield from (problem.message.splitlines()[0] for problem in problems)
