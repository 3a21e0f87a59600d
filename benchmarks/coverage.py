"""How many networks keep what they compute on their way from PyTorch to ONNX Runtime, and why the others do not.

    python benchmarks/coverage.py [--networks timm:resnet18,torchvision:vgg11] [--opsets 11,13] [--zoo [TASK]]
                                  [--write FILE]

Each network gets random weights and goes through the runner's own stages up to `score` on a few synthetic pictures of
its task, at each opset, in a process of its own that is ended when it takes too long or too much memory. It holds where
its outputs have a mean cosine of at least 0.999 with PyTorch's, every one of them, and choose the same classes. The
networks are at least one of every module of timm that takes pictures (the smallest one that there is), some of
torchvision, and with --zoo every option of conf/model, or those of one task; --networks takes others of theirs. Options
that are ONNX models from outside are left out.

What is found is kept in --results, a line of JSON each. Where that says already, with the same versions, that a
network holds, it is not tried again: an interrupted run goes on, and what failed is tried anew. Exits 1 if any does not
hold.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Any

COSINE = 0.999
SAMPLES = 4
"""Of classifiers; others, whose inputs and outputs are larger, get half as many, in one batch."""
STAND_INS = {
    "image_classification": "synthetic_images",
    "detection": "synthetic_boxes",
    "segmentation": "synthetic_shapes",
    "restoration": "synthetic_textures",
    "recognition": "synthetic_words",
    "ocr_detection": "synthetic_scenes",
}
"""Task -> the data set that needs no files; models of other tasks bring one themselves."""
SECONDS = 900.0
"""What a network may take at one opset."""
MEMORY_BYTES = 8 << 30
"""What its process may hold."""
POLL_SECONDS = 0.25
PACKAGES = ("torch", "torchvision", "timm", "onnx", "onnxsim", "onnxruntime")

TIMM = """
beit: beit_base_patch16_224
byoanet: halonet_h1 eca_halonext26ts eca_botnext26ts_256 lambda_resnet26t
byobnet: mobileone_s0 gernet_s repvgg_a0 regnetz_b16 gcresnet33ts resnet50_clip_gap
cait: cait_xxs24_224
coat: coat_tiny coat_lite_tiny
convit: convit_tiny
convmixer: convmixer_768_32
convnext: convnext_atto convnextv2_atto convnext_zepto_rms
cpubone: cpubone_nano
crossvit: crossvit_tiny_240
csatv2: csatv2
cspnet: cs3darknet_s darknet17 cspresnext50
cspnext: cspnext_tiny
davit: davit_tiny
deepseek_vit: deepseek_vit_412m
deit: deit_tiny_patch16_224 deit_tiny_distilled_patch16_224 deit3_small_patch16_224
densenet: densenet121 densenetblur121d
dla: dla46_c dla60_res2net
dpn: dpn48b dpn68
edgenext: edgenext_xx_small
efficientformer: efficientformer_l1
efficientformer_v2: efficientformerv2_s0
efficientnet: efficientnet_b0 tf_efficientnet_b0 tf_efficientnetv2_b0 mobilenetv2_100 mnasnet_100 mixnet_s tinynet_e
efficientvim: efficientvim_m1
efficientvit_mit: efficientvit_b0
efficientvit_msra: efficientvit_m0
eva: eva02_tiny_patch14_224 vit_small_patch16_rope_224 vit_tiny_patch16_dinov3_qkvb
fasternet: fasternet_t0
fastvit: fastvit_t8 fastvit_sa12
focalnet: focalnet_tiny_srf
gcvit: gcvit_xxtiny
gemma4_vit: gemma4_vit_167m
ghostnet: ghostnet_100 ghostnetv2_100 ghostnetv3_100
hardcorenas: hardcorenas_a
hgnet: hgnet_tiny hgnetv2_b0
hiera: hiera_tiny_224
hieradet_sam2: hieradet_small
hrnet: hrnet_w18_small
iformer: iformer_t
inception_next: inception_next_atto
inception_resnet_v2: inception_resnet_v2
inception_v3: inception_v3
inception_v4: inception_v4
lcnetv2: lcnetv2_small
levit: levit_128s levit_conv_128s
lowformer: lowformer_b0
mambaout: mambaout_femto
maxxvit: coatnet_pico_rw_224 maxvit_rmlp_pico_rw_256 maxvit_tiny_tf_224
metaformer: poolformer_s12 caformer_s18 convformer_s18
mlp_mixer: mixer_s16_224 gmlp_ti16_224 resmlp_12_224
mobilenetv3: mobilenetv3_small_100 tf_mobilenetv3_small_075 lcnet_050 mobilenetv4_conv_small mobilenetv4_hybrid_medium
mobilenetv5: mobilenetv5_base
mobilevit: mobilevit_xxs mobilevitv2_050
mvitv2: mvitv2_tiny
naflexvit: naflexvit_base_patch16_gap
nasnet: nasnetalarge
nest: nest_tiny
nextvit: nextvit_small
nfnet: nf_regnet_b0 nf_resnet26 eca_nfnet_l0
pit: pit_ti_224 pit_ti_distilled_224
pnasnet: pnasnet5large
pvt_v2: pvt_v2_b0 pvt_v2_b2_li
qwen3_vit: qwen3_vit_88m
rdnet: rdnet_tiny
regnet: regnetx_002 regnety_002 regnetv_040
repghost: repghostnet_050
repvit: repvit_m1
res2net: res2net50_26w_4s res2next50
resnest: resnest14d
resnet: resnet18 resnet50 seresnet18 resnetblur18 ecaresnext26t_32x4d resnet26t
resnetv2: resnetv2_18 resnetv2_50x1_bit resnetv2_50d_gn
rexnet: rexnet_100 rexnetr_100
selecsls: selecsls42
senet: legacy_seresnet18 legacy_senet154
sequencer: sequencer2d_s
shvit: shvit_s1
sknet: skresnet18
starnet: starnet_s050
swiftformer: swiftformer_xs
swin_transformer: swin_tiny_patch4_window7_224 swin_s3_tiny_224
swin_transformer_v2: swinv2_tiny_window8_256
swin_transformer_v2_cr: swinv2_cr_tiny_ns_224
tiny_vit: tiny_vit_5m_224
tnt: tnt_s_patch16_224
tresnet: tresnet_m
twins: twins_pcpvt_small twins_svt_small
vgg: vgg11 vgg11_bn
visformer: visformer_tiny
vision_transformer: vit_tiny_patch16_224 vit_small_patch32_224 vit_small_patch14_dinov2 vit_base_patch32_clip_224 \
    vit_wee_patch16_reg1_gap_256 vit_little_patch16_reg4_gap_256
vision_transformer_hybrid: vit_tiny_r_s16_p8_224 vit_small_r26_s32_224
vision_transformer_relpos: vit_relpos_small_patch16_224 vit_srelpos_small_patch16_224
vision_transformer_sam: samvit_base_patch16_224
vitamin: vitamin_small_224
volo: volo_d1_224
vovnet: ese_vovnet19b_dw vovnet39a
xception: legacy_xception
xception_aligned: xception41
xcit: xcit_nano_12_p16_224 xcit_tiny_12_p8_224
"""
"""Module of timm: networks of it."""
TORCHVISION = """
alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5
mobilenet_v2 mobilenet_v3_small regnet_x_400mf regnet_y_400mf resnet18 resnet50 resnext50_32x4d shufflenet_v2_x0_5
shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 swin_t swin_v2_t vgg11 vgg16_bn vit_b_16 vit_b_32 wide_resnet50_2
"""

_CHAOTIC = "with random weights its numbers grow on pictures until float32 is too coarse: PyTorch's own differ as much"
KNOWN = {
    "timm:gemma4_vit_167m": "it limits whole numbers, and Clip takes those from opset 12 on",
    "timm:halonet_h1": _CHAOTIC,
    "timm:regnetv_040": _CHAOTIC,
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", help="library:name or zoo:option, separated by commas, instead of the list")
    parser.add_argument(
        "--zoo",
        nargs="?",
        const="all",
        choices=("all", *STAND_INS),
        help="every option of conf/model, or those of one task, instead of the list",
    )
    parser.add_argument("--opsets", default="11,13")
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time")
    parser.add_argument("--results", type=Path, default=Path("outputs/coverage.jsonl"))
    parser.add_argument("--write", type=Path, help="where to write the table of all results, in Markdown")
    parser.add_argument("--child", nargs=3, metavar=("NETWORK", "OPSETS", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.child[0], _numbers(options.child[1]), Path(options.child[2]))
    networks = options.networks.split(",") if options.networks else zoo(options.zoo) if options.zoo else listed()
    opsets = _numbers(options.opsets)
    found = read(options.results)
    jobs = [(network, [o for o in opsets if not _known(found, network, o)]) for network in networks]
    keep = Keeper(options.results, sum(len(missing) for _, missing in jobs))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            list(pool.map(lambda job: go_through(*job, keep), jobs))
        except BaseException:
            keep.stopped.set()
            raise
    found = read(options.results)
    mine = [found[network, opset] for network in networks for opset in opsets if (network, opset) in found]
    print(summary(mine))
    if not options.networks and not options.zoo and unlisted():
        print(f"modules of the installed timm that the list lacks: {', '.join(unlisted())}")
    if options.write:
        options.write.write_text(markdown([one for one in found.values() if one.versions == versions()]))
    return int(len(mine) < len(networks) * len(opsets) or not all(one.holds for one in mine))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def families() -> dict[str, list[str]]:
    """The list by module, as library:name."""
    found = {}
    for line in TIMM.replace("\\\n", " ").strip().splitlines():
        module, _, names = line.partition(":")
        found[module] = [f"timm:{name}" for name in names.split()]
    found["torchvision"] = [f"torchvision:{name}" for name in TORCHVISION.split()]
    return found


def listed() -> list[str]:
    """Every network of the list."""
    return [network for networks in families().values() for network in networks]


def unlisted() -> list[str]:
    """Modules of timm's networks that no network of the list is from."""
    import timm

    return sorted(set(timm.list_modules()) - set(families()))


def zoo(task: str) -> list[str]:
    """Every option of conf/model that is a network of its own: of one task, or of "all"."""
    from runner.config import compose, groups, libraries

    options = (path.stem for path in sorted((groups.CONF / "model").glob("*.yaml")))
    models = {name: compose.compose([f"model={name}"]).model for name in options if name not in libraries.LISTED_BY}
    return [f"zoo:{name}" for name, model in models.items() if model.onnx is None and task in ("all", model.task)]


def versions() -> dict[str, str]:
    """Of the packages that the outcome depends on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def read(path: Path) -> dict[tuple[str, int], Outcome]:
    """What is known, the last word on each network and opset."""
    lines = path.read_text().splitlines() if path.exists() else []
    outcomes = [Outcome(**json.loads(line)) for line in lines if line.endswith("}")]
    return {(outcome.network, outcome.opset): outcome for outcome in outcomes}


def _known(found: dict[tuple[str, int], Outcome], network: str, opset: int) -> bool:
    outcome = found.get((network, opset))
    return outcome is not None and outcome.holds and outcome.versions == versions()


class Keeper:
    """Writes down and tells each outcome as it comes. Once `stopped` is set, the children are ended."""

    def __init__(self, path: Path, wanted: int) -> None:
        self.stopped = Event()
        self._path, self._wanted, self._done, self._lock = path, wanted, 0, Lock()
        path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, outcome: Outcome) -> None:
        with self._lock:
            self._done += 1
            with self._path.open("a") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")
            told = f"holds (cosine {outcome.cosine:.7f})" if outcome.holds else f"FAILS: {outcome.reason}"
            place = f"{self._done}/{self._wanted} {outcome.network} opset {outcome.opset}"
            print(f"{place}: {told}, {outcome.seconds:.0f} s", flush=True)


def go_through(network: str, opsets: Sequence[int], keep: Keeper) -> None:
    """One network at these opsets, in a child; where that dies, in another for the opsets after."""
    missing = list(opsets)
    with tempfile.TemporaryDirectory(prefix="coverage-") as scratch:
        while missing and not keep.stopped.is_set():
            start = time.monotonic()
            death = _in_a_child(network, missing, Path(scratch), keep.stopped)
            for opset in list(missing):
                path = Path(scratch) / f"{opset}.json"
                if not path.exists():
                    break
                keep(_judged(network, opset, json.loads(path.read_text())))
                missing.remove(opset)
            if missing and not keep.stopped.is_set():  # it died at the first of these
                spent = time.monotonic() - start
                keep(Outcome(network, missing.pop(0), death, "process", None, None, None, spent, versions()))


def _in_a_child(network: str, opsets: Sequence[int], scratch: Path, stopped: Event) -> str:
    """Run the child to its end; returns how it died, if it did."""
    command = [sys.executable, __file__, "--child", network, ",".join(map(str, opsets)), str(scratch)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path[1:]])}
    environment.setdefault("OMP_NUM_THREADS", "1")  # more would only wait for each other where something else runs
    with (scratch / "child.log").open("wb") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        death = _watched(child, scratch, stopped)
    if death or child.returncode == 0:
        return death or "the process wrote no result"
    last = (scratch / "child.log").read_text(errors="replace").strip().splitlines()[-1:]
    if child.returncode < 0:
        return f"the process was killed by {signal.Signals(-child.returncode).name}"
    return f"the process ended with status {child.returncode}: {' '.join(last)}"


def _watched(child: subprocess.Popen[bytes], scratch: Path, stopped: Event) -> str:
    """Wait for the child; ends its whole group when it takes too long or too much. Returns why, if so."""
    start, done, death = time.monotonic(), 0, ""
    try:
        while child.poll() is None and not stopped.wait(POLL_SECONDS):
            written = len(list(scratch.glob("*.json")))
            if written > done:
                start, done = time.monotonic(), written
            if time.monotonic() - start > SECONDS:
                death = f"takes more than {SECONDS:.0f} s"
                break
            if _resident_bytes(child.pid) > MEMORY_BYTES:
                death = f"takes more than {MEMORY_BYTES / 2**30:.0f} GiB of memory"
                break
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return death


def _resident_bytes(pid: int) -> int:
    """Of the processes of the child's session."""
    pages = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == pid:  # the session, whose leader the child is
                pages += int(fields[21])
    return pages * os.sysconf("SC_PAGE_SIZE")


def child(network: str, opsets: Sequence[int], folder: Path) -> int:
    """Go through one network at each opset, writing FOLDER/<opset>.json: the runner's result."""
    for opset in opsets:
        start = time.monotonic()
        found = _result(network, opset, folder)
        partial = folder / f"{opset}.partial"
        partial.write_text(json.dumps(found | {"seconds": time.monotonic() - start}))
        partial.rename(folder / f"{opset}.json")
    return 0


def _result(network: str, opset: int, folder: Path) -> dict[str, Any]:
    """The runner's result, or an error alone where the configuration could not be composed."""
    from runner.__main__ import main as run
    from runner.core import RunnerError

    written = folder / f"run-{opset}" / "result.json"
    told = io.StringIO()
    try:
        sys.argv = ["runner", *arguments(network, opset, folder / "store"), f"hydra.run.dir={written.parent}"]
        with contextlib.redirect_stderr(told):
            run()
    except RunnerError as error:
        told.write(error.message)
    print(told.getvalue(), flush=True)
    if written.exists():
        found: dict[str, Any] = json.loads(written.read_text())
        return found
    return {"error": {"stage": "config", "message": told.getvalue()}}


def arguments(network: str, opset: int, store: Path) -> list[str]:
    """The command line of the runner for a network at an opset."""
    from runner.config import compose, libraries

    library, _, name = network.partition(":")
    chosen = [f"model={name}", "model.aipp=false"] if library == "zoo" else [f"model={library}", f"model.arch={name}"]
    if library in libraries.LISTED_BY:
        said = libraries.catalogue_of(library, store).networks.get(name)
        chosen += ["model.network.num_classes=1000"] if said and not said.classes else []
    return [
        *chosen,
        *data(compose.compose([*chosen, f"cache_dir={store}"]).model.task),
        f"model.export.opset={opset}",
        "weights=random",
        "stages=[score]",
        f"cache_dir={store}",
    ]


def data(task: str) -> list[str]:
    """The part of the command line that chooses the samples for a task."""
    if task == "image_classification":
        return ["dataset=synthetic_images", f"dataset.reader.count={SAMPLES}", "dataset.reader.classes=2"]
    if task in STAND_INS:
        return [f"dataset={STAND_INS[task]}", f"limit={SAMPLES // 2}", f"batch={SAMPLES // 2}"]
    return [f"limit={SAMPLES}"]


def _judged(network: str, opset: int, result: dict[str, Any]) -> Outcome:
    """What the runner's result says of the network."""
    fidelity = result.get("fidelity") or {}
    cosine, agreement = fidelity.get("cosine"), fidelity.get("top1_agreement")
    stage, reason = "", ""
    if result.get("error"):
        stage, reason = result["error"]["stage"], _short(result["error"]["message"])
    elif not fidelity:
        stage, reason = "score", "there is no fidelity"
    elif not cosine >= COSINE:
        stage, reason = "score", f"the cosine with PyTorch's outputs is {cosine:.4f}"
    elif agreement is not None and agreement < 100:
        stage, reason = "score", f"only {agreement:.0f} % of the samples get PyTorch's class"
    return Outcome(
        network, opset, reason, stage, cosine, agreement, fidelity.get("max_abs"), result["seconds"], versions()
    )


def _short(message: str) -> str:
    """The first line of an error, without the paths in it."""
    operator = re.search(r"operator '([\w:]+)' to ONNX opset version (\d+) is not supported", message)
    if operator:
        return f"torch exports no {operator[1]} at opset {operator[2]}"
    line = message.strip().splitlines()[0] if message.strip() else "no message"
    return re.sub(r"\S*/(?:store|coverage-)\S*", "FILE", re.split(r"\.\s", line)[0])[:240]


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
    opsets = sorted({outcome.opset for outcome in outcomes})
    sources = {network: module for module, networks in families().items() for network in networks}
    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    parts = [
        "# Coverage",
        "",
        textwrap.fill(
            f"Made by `python benchmarks/coverage.py --write docs/coverage.md` (`--zoo` for conf/model) with {told}: "
            f"random weights, {SAMPLES} synthetic pictures, through the runner's stages up to `score` on ONNX Runtime. "
            f"A network holds where the mean cosine with PyTorch's outputs is at least {COSINE} and every sample gets "
            "PyTorch's class.",
            width=120,
            break_on_hyphens=False,
        ),
        "",
        "| networks | " + " | ".join(f"hold at opset {opset}" for opset in opsets) + " |",
        "|---|" + "---|" * len(opsets),
    ]
    groups = Counter(_group(outcome.network) for outcome in outcomes)
    for group in [*groups, "all"]:
        cells = []
        for opset in opsets:
            at = [one for one in outcomes if one.opset == opset and group in ("all", _group(one.network))]
            holding = sum(one.holds for one in at)
            cells.append(f"{holding} of {len(at)} ({100 * holding / len(at):.1f} %)" if at else "")
        parts.append(f"| {group} | " + " | ".join(cells) + " |")
    failures = [(opset, *row) for opset in opsets for row in _by_reason(o for o in outcomes if o.opset == opset)]
    if failures:
        parts += [
            "",
            "## Why the others do not",
            "",
            "| opset | reason | networks | what is known |",
            "|---|---|---|---|",
        ]
        for opset, reason, networks in failures:
            known = "; ".join(dict.fromkeys(KNOWN[network] for network in networks if network in KNOWN))
            parts.append(f"| {opset} | {_cell(reason)} | {', '.join(networks)} | {_cell(known)} |")
    parts += ["", "## All", "", "Where a network holds, how far its outputs are from PyTorch's: 1 - cosine.", ""]
    parts += ["| module | network | " + " | ".join(f"opset {opset}" for opset in opsets) + " |"]
    parts += ["|---|---|" + "---|" * len(opsets)]
    by_key = {(outcome.network, outcome.opset): outcome for outcome in outcomes}
    for network in sorted(
        {one.network for one in outcomes}, key=lambda name: (_group(name), sources.get(name, ""), name)
    ):
        library, _, name = network.partition(":")
        cells = [_outcome_cell(by_key.get((network, opset))) for opset in opsets]
        parts.append(f"| {sources.get(network, library)} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(parts) + "\n"


def _group(network: str) -> str:
    library = network.partition(":")[0]
    return {"zoo": "conf/model"}.get(library, library)


def _outcome_cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not tried"
    return f"{max(0.0, 1 - (outcome.cosine or 0)):.0e}" if outcome.holds else f"no: {outcome.stage}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
