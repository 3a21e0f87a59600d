"""What `benchmarks/coverage.py` found, read again, summed up, and as a page in Markdown."""

from __future__ import annotations

import importlib.metadata
import json
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from coverage_networks import families

COSINE = 0.999
SAMPLES = 4
"""Of classifiers; others, whose inputs and outputs are larger, get half as many, in one batch."""
PACKAGES = ("torch", "torchvision", "timm", "onnx", "onnxsim", "onnxruntime")
_CHAOTIC = "with random weights its numbers grow on pictures until float32 is too coarse: PyTorch's own differ as much"
_LARGE = "attention over 1024x1024 pixels; at a smaller size the network holds (tests/zoo/test_segformer.py)"
KNOWN = {
    "timm:gemma4_vit_167m": "it limits whole numbers, and Clip takes those from opset 12 on",
    "timm:halonet_h1": _CHAOTIC,
    "timm:regnetv_040": _CHAOTIC,
    "zoo:efficientdet_d6": "two pictures of 1280x1280",
    "zoo:efficientdet_d7": "two pictures of 1536x1536",
    **{f"zoo:segformer_b{size}_cityscapes": _LARGE for size in range(6)},
}
"""What was found out about networks that do not hold."""


@dataclass(frozen=True)
class Outcome:
    """What became of one network at one opset. `reason` is empty where it holds; `stage` is where it failed."""

    network: str
    opset: int
    reason: str
    stage: str
    cosine: float | None
    top1_agreement: float | None
    max_abs: float | None
    seconds: float
    versions: dict[str, str]

    @property
    def holds(self) -> bool:
        return not self.reason


def versions() -> dict[str, str]:
    """Of the packages that the outcome depends on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def read(path: Path) -> dict[tuple[str, int], Outcome]:
    """What is known, the last word on each network and opset."""
    lines = path.read_text().splitlines() if path.exists() else []
    outcomes = [Outcome(**json.loads(line)) for line in lines if line.endswith("}")]
    return {(outcome.network, outcome.opset): outcome for outcome in outcomes}


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many hold at each opset, and the reasons of the others."""
    lines = []
    for opset in sorted({outcome.opset for outcome in outcomes}):
        at = [outcome for outcome in outcomes if outcome.opset == opset]
        holding = sum(outcome.holds for outcome in at)
        lines.append(f"opset {opset}: {holding} of {len(at)} hold ({100 * holding / len(at):.1f} %)")
        for reason, networks in _by_reason(at):
            lines.append(f"  {len(networks):>3}  {reason}: {', '.join(networks)}")
    return "\n".join(lines)


def _by_reason(outcomes: Iterable[Outcome]) -> list[tuple[str, list[str]]]:
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for outcome in outcomes:
        if not outcome.holds:
            grouped[f"{outcome.stage}: {outcome.reason}"].append(outcome.network)
    return sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0]))


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The page: counts, reasons, and a table with a row a network."""
    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    about = textwrap.fill(
        f"Made by `python benchmarks/coverage.py --write docs/coverage.md` (`--zoo` for conf/model) with {told}: "
        f"random weights, {SAMPLES} synthetic pictures, through the runner's stages up to `score` on ONNX Runtime. "
        f"A network holds where the mean cosine with PyTorch's outputs is at least {COSINE} and every sample gets "
        "PyTorch's class.",
        width=120,
        break_on_hyphens=False,
    )
    opsets = sorted({outcome.opset for outcome in outcomes})
    parts = ["# Coverage", "", about, "", *_counts(outcomes, opsets), *_failures(outcomes, opsets)]
    parts += ["", "## All", "", "Where a network holds, how far its outputs are from PyTorch's: 1 - cosine.", ""]
    return "\n".join([*parts, *_all(outcomes, opsets)]) + "\n"


def _counts(outcomes: Sequence[Outcome], opsets: Sequence[int]) -> list[str]:
    rows = _table_head("networks", *(f"hold at opset {opset}" for opset in opsets))
    for group in [*Counter(_group(outcome.network) for outcome in outcomes), "all"]:
        cells = []
        for opset in opsets:
            at = [one for one in outcomes if one.opset == opset and group in ("all", _group(one.network))]
            holding = sum(one.holds for one in at)
            cells.append(f"{holding} of {len(at)} ({100 * holding / len(at):.1f} %)" if at else "")
        rows.append(f"| {group} | " + " | ".join(cells) + " |")
    return rows


def _failures(outcomes: Sequence[Outcome], opsets: Sequence[int]) -> list[str]:
    failures = [(opset, *row) for opset in opsets for row in _by_reason(o for o in outcomes if o.opset == opset)]
    if not failures:
        return []
    rows = ["", "## Why the others do not", "", *_table_head("opset", "reason", "networks", "what is known")]
    for opset, reason, networks in failures:
        known = "; ".join(dict.fromkeys(KNOWN[network] for network in networks if network in KNOWN))
        rows.append(f"| {opset} | {_cell(reason)} | {', '.join(networks)} | {_cell(known)} |")
    return rows


def _all(outcomes: Sequence[Outcome], opsets: Sequence[int]) -> list[str]:
    modules = {network: module for module, networks in families().items() for network in networks}
    by_key = {(outcome.network, outcome.opset): outcome for outcome in outcomes}
    rows = _table_head("module", "network", *(f"opset {opset}" for opset in opsets))
    for network in sorted(
        {one.network for one in outcomes}, key=lambda name: (_group(name), modules.get(name, ""), name)
    ):
        library, _, name = network.partition(":")
        cells = [_outcome_cell(by_key.get((network, opset))) for opset in opsets]
        rows.append(f"| {modules.get(network, library)} | {name} | " + " | ".join(cells) + " |")
    return rows


def _table_head(*names: str) -> list[str]:
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


def _group(network: str) -> str:
    library = network.partition(":")[0]
    return {"zoo": "conf/model"}.get(library, library)


def _outcome_cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not tried"
    return f"{max(0.0, 1 - (outcome.cosine or 0)):.0e}" if outcome.holds else f"no: {outcome.stage}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
