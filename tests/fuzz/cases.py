"""Made-up command lines: runs, sweeps and every command, over files in which some values are any.

A case is drawn from a seed and from the home of `tests.fuzz.runs.prepare`, whose results and artifacts it changes.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tests.conftest import TINY_MODEL
from tests.fuzz.test_configs import FURTHER, KEYS, with_value
from tests.fuzz.values import INTERPOLATIONS, NAMES, NUMBERS, ODD, damage

LONG = frozenset(
    {"min_seconds", "max_seconds", "min_iterations", "warmup", "loop", "timeout_seconds", "count", "width"}
)
"""Keys of which a large value is a long run, as asked for."""
PLAUSIBLE: tuple[Any, ...] = (
    *(1, 2, 4, "1", "auto", "random", True, False, None, [], [1], {}, ["export"], "cpu", "noise", 0.5),
)
VALUES = (*INTERPOLATIONS, *ODD, *NAMES, *NUMBERS, *PLAUSIBLE, *PLAUSIBLE)
MODEL = "conf/model/fuzz.yaml"
FUZZ_MODEL = TINY_MODEL.replace("name: tiny", "name: fuzz")
MEASURED_BRIEFLY = ["benchmark.min_seconds=0", "benchmark.min_iterations=1", "benchmark.max_seconds=1"]
COMMON = [
    *["--config-dir", "conf", "model=fuzz", "weights=random", "allow=[tiny_zoo]", *MEASURED_BRIEFLY],
    *["dataset=synthetic_images", "dataset.reader.count=4", "dataset.reader.classes=4"],
]
"""A whole run of the tiny network."""
STAGES = ("weights", "export", "simplify", "prepare", "infer", "reference", "score", "benchmark")
DATA = (
    ("coco", "detection", "annotations/instances_val2017.json"),
    ("coco_instances", "detection", "annotations/instances_val2017.json"),
    ("voc", "detection", "Annotations/a.xml"),
    ("voc", "detection", "ImageSets/Main/test.txt"),
    ("icdar2015", "ocr_detection", "labels.txt"),
    ("words", "recognition", "words.txt"),
    ("plates", "recognition", "words.txt"),
    ("maps", "segmentation", "labels/a.png"),
    ("imagenet", "image_classification", "val_label.txt"),
    ("imagenet", "image_classification", "val/a.png"),
    ("arrays", "image_classification", "image.npy"),
)
"""Data set, its task, and a file of the home's data/ that it reads."""
DECODERS = {
    "detection": {"decode": {"_target_": "runner.tasks.detection.Detr", "categories": "coco91"}},
    "ocr_detection": {"decode": {"_target_": "runner.tasks.ocr_detection.Db"}},
    "recognition": {"decode": {"_target_": "runner.tasks.recognition.Ctc", "alphabet": "cat"}},
}
"""Task -> a decoder of it, where outputs need one."""
ONNX = "outputs/cache/simplify/*/model.onnx"
RUN = "outputs/fuzz/*/*/*"
COMMANDS: dict[str, tuple[list[list[str]], list[str]]] = {
    "list": (
        [[], ["model"], ["dataset"], ["soc"], ["tool"], ["{}"]],
        ["--json", "--config-dir=conf", "--config-dir={}", "name={}", "soc={}", "task={}", "metric={}", "here=true"],
    ),
    "report": (
        [["made"], ["outputs"], ["made", "outputs"], [], ["{}"]],
        ["--table", "--junit=made/junit.xml", "--model={}", "--model=fuzz", "--out={}", "--config-dir=conf"],
    ),
    "compare": (
        [["made/a"], ["made/a", "made/b"], ["last-good"], ["last-good", "made/b"], ["made", "outputs"], ["{}", "made"]],
        ["--results=made", "--results={}", "--tolerance=top1={}", "--tolerance={}", "--junit=made/junit.xml"],
    ),
    "diff": (
        [["made/a", "made/b"], ["made", "outputs"], ["model=fuzz", "model=fuzz batch={}"], ["model={}", "{}"]],
        ["--config-dir=conf", "--config-dir={}"],
    ),
    "guide": (
        [["model=fuzz", "--config-dir=conf"], ["model=dcgan"], ["model={}"]],
        [
            *["lang=en", "lang={}", "soc={}", "soc=cpu", "batch={}", "batch=1,4", "tool={}", "dataset={}", "{}={}"],
            *["dataset.root={}", "--out=made/guide.md", "--script=made/guide.sh", "--results=made", "--results={}"],
        ],
    ),
    "debug": (
        [[*COMMON, "stages=[simplify]"], ["--onnx", "made/a.onnx", "made/b.onnx"], ["--onnx", "made/a.onnx"]],
        [
            *["--layers", "--rtol={}", "--atol={}", "--input={}", "--input=real", "--runtime=reference", "--dump={}"],
            *["--runtime={}", "batch=2", "batch={}", "soc={}", "--out={}"],
        ],
    ),
    "new": (
        [["mine", "--arch=resnet18"], ["{}", "--network=tiny_zoo.net.Tiny"], ["mine", "--onnx=made/a.onnx"]],
        [
            *["--task={}", "--task=detection", "--library={}", "--argument=classes={}", "--argument={}", "--scale={}"],
            *["--input={}", "--input=3,8,{}", "--dir={}", "--dir=conf", "--force"],
        ],
    ),
    "cache": (
        [["list"], ["verify"], ["verify", "--remove"], ["prune"], ["prune", "--to=0"], ["{}"]],
        ["--json", "--to={}", "--older-than={}", "--older-than=1d", "--cache-dir=outputs/cache", "cache_dir={}"],
    ),
}
"""Command -> what it is given first, one of these, and what may follow; {} is any value."""


@dataclass(frozen=True)
class Case:
    """A command line, and the files that it finds besides those of the home.

    Each file is a path relative to the home, or a pattern of paths there, and its content: UTF-8, other bytes escaped
    as Python's "surrogateescape" does.
    """

    arguments: list[str]
    files: dict[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The command, "run" for a run."""
        return self.arguments[0] if self.arguments[0] in COMMANDS else "run"

    @property
    def is_launched(self) -> bool:
        """Whether a launcher starts processes for its jobs."""
        return any(argument.startswith("hydra/launcher=") for argument in self.arguments)


def made_up(seed: int, home: Path) -> Case:
    """Return the case of a seed."""
    drawn = random.Random(seed)
    (kind,) = drawn.choices(list(KINDS), list(KINDS.values()))
    case = kind(drawn, home)
    return Case([_as_received(argument) for argument in case.arguments], case.files)


def _as_received(argument: str) -> str:
    """Return an argument as Python receives it: bytes that are not UTF-8 escaped, and none of them a NUL."""
    return argument.replace("\0", "0").encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")


def _run(drawn: random.Random, home: Path) -> Case:
    """Up to three changes in the model's file or on the command line, and some stages."""
    arguments = [*COMMON, *_typed(drawn), *_stages(drawn)]
    if drawn.random() < 0.05:
        arguments += ["-m", "batch=1,2"]
    return Case(arguments, {MODEL: _model(drawn)})


def _launched(drawn: random.Random, home: Path) -> Case:
    """A sweep whose jobs are other processes'."""
    launcher = ["-m", "batch=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    return Case([*COMMON, *launcher, *_typed(drawn)], {MODEL: _model(drawn)})


def _stored(drawn: random.Random, home: Path) -> Case:
    """A run that finds artifacts whose manifests, or files, are another's."""
    return Case([*COMMON, *_stages(drawn)], _hostile_store(drawn, home))


def _data(drawn: random.Random, home: Path) -> Case:
    """A run over a data set of which a file is any."""
    name, task, path = drawn.choice(DATA)
    model = yaml.safe_load(FUZZ_MODEL) | {"task": task, **DECODERS.get(task, {})}
    arguments = [*COMMON[:-3], f"dataset={name}", "dataset.root=data"]
    if task == "recognition":
        arguments.append("dataset.labels=data/words.txt")
    if drawn.random() < 0.5:
        arguments.append("stages=[prepare]")
    hostile = _damaged(drawn, (home / "data" / path).read_bytes())
    return Case(arguments, {MODEL: yaml.dump(model), f"data/{path}": _text(hostile)})


def _command(drawn: random.Random, home: Path) -> Case:
    """A command over results, configurations and ONNX files in which some values are any."""
    name = drawn.choice(list(COMMANDS))
    firsts, options = COMMANDS[name]
    words = [*drawn.choice(firsts), *drawn.sample(options, drawn.choice((0, 1, 1, 2)))]
    values = [value for value in VALUES if not str(value).startswith("/")]  # nothing outside the scratch folder
    files = {MODEL: _model(drawn)}
    if name in ("report", "compare", "diff", "guide"):
        files |= _hostile_results(drawn, home)
    elif name in ("debug", "new"):
        content = _only(home, ONNX).read_bytes()
        files |= {f"made/{each}.onnx": _text(drawn.choice([content, _damaged(drawn, content)])) for each in "ab"}
    elif name == "cache":
        files |= _hostile_store(drawn, home)
    return Case([name, *(word.replace("{}", str(drawn.choice(values))) for word in words)], files)


KINDS: dict[Callable[[random.Random, Path], Case], float] = {
    _run: 45,
    _command: 35,
    _data: 10,
    _stored: 10,
    _launched: 0.1,
}
"""What cases there are, and how often each is drawn."""


def _typed(drawn: random.Random) -> Iterator[str]:
    """Up to two keys as they are typed."""
    for _ in range(drawn.randrange(3)):
        path, value = _key(drawn), drawn.choice(VALUES)
        if all(isinstance(part, str) for part in path) and not (path[0] == "cache_dir" and str(value).startswith("/")):
            yield f"{'.'.join(map(str, path))}={json.dumps(value) if value is None else value}"


def _stages(drawn: random.Random) -> list[str]:
    wanted = [f"stages=[{drawn.choice(STAGES)}]"] if drawn.random() < 0.5 else []
    return [*wanted, "dry_run=true"] if drawn.random() < 0.1 else wanted


def _model(drawn: random.Random) -> str:
    """Return the tiny model's file, with up to two of its keys changed."""
    content: Any = yaml.safe_load(FUZZ_MODEL)
    for _ in range(drawn.randrange(3)):
        path = _key(drawn)
        if path[0] == "model":
            content = with_value(content, path[1:], drawn.choice(VALUES))
    return yaml.dump(content, allow_unicode=False)


def _key(drawn: random.Random) -> tuple[str | int, ...]:
    return drawn.choice([key for key in (*KEYS, *FURTHER) if key[-1] not in LONG])


def _hostile_results(drawn: random.Random, home: Path) -> dict[str, str]:
    """Return a folder of two results, and the sweep that they are of."""
    result = json.loads(_only(home, f"{RUN}/result.json").read_bytes())
    config = _only(home, f"{RUN}/.hydra/config.yaml").read_bytes()
    jobs = [{"name": name, "overrides": ["model=fuzz"]} for name in "ab"]
    sweep = {"schema": 1, "created": result["created"], "host": "here", "jobs": jobs}
    made: dict[str, str] = {}
    for name in "ab":
        made[f"made/{name}/result.json"] = _text(_json(drawn, result))
        made[f"made/{name}/config.yaml"] = _text(drawn.choice([config, _damaged(drawn, config)]))
    return made | ({"made/sweep.json": _text(_json(drawn, sweep))} if drawn.random() < 0.5 else {})


def _hostile_store(drawn: random.Random, home: Path) -> dict[str, str]:
    """Return one or two files of the store, changed; a manifest often with the digest that it should have."""
    made: dict[str, str] = {}
    for path in drawn.sample(sorted((home / "outputs" / "cache").glob("*/*/*")), drawn.choice((1, 1, 2))):
        outputs, cache, stage, _, name = path.relative_to(home).parts  # the key depends on versions of libraries
        content = _damaged(drawn, path.read_bytes())
        if name == "artifact.json" and drawn.random() < 0.8:
            content = _signed(_changed(drawn, json.loads(path.read_bytes())))
        made[f"{outputs}/{cache}/{stage}/*/{name}"] = _text(content)
    return made


def _signed(manifest: Any) -> bytes:
    """Return a manifest with its digest, where it has one."""
    fields = {key: value for key, value in manifest.items() if key != "sha256"} if isinstance(manifest, dict) else {}
    try:
        digest = hashlib.sha256(msgspec.json.encode(fields, order="deterministic")).hexdigest()
    except ValueError:  # a lone surrogate
        return json.dumps(manifest).encode()
    return json.dumps(fields | {"sha256": digest}).encode()


def _only(home: Path, pattern: str) -> Path:
    (path,) = home.glob(pattern)
    return path


def _json(drawn: random.Random, content: Any) -> bytes:
    whole = json.dumps(_changed(drawn, content)).encode()
    return _damaged(drawn, whole) if drawn.random() < 0.1 else whole


def _changed(drawn: random.Random, node: Any) -> Any:
    """Return JSON in which about one value of thirty is any, and one key of a hundred."""
    if drawn.random() < 0.03:
        return drawn.choice(VALUES)
    if isinstance(node, dict):
        keys = [drawn.choice(ODD) if drawn.random() < 0.01 else key for key in node]
        return {key: _changed(drawn, value) for key, value in zip(keys, node.values(), strict=True)}
    return [_changed(drawn, value) for value in node] if isinstance(node, list) else node


def _damaged(drawn: random.Random, content: bytes) -> bytes:
    def step() -> tuple[int, int, bytes, bool]:
        start = drawn.randrange(len(content) + 1)
        return start, drawn.randrange(16), drawn.randbytes(drawn.randrange(16)), drawn.random() < 0.125

    return damage(content, [step() for _ in range(drawn.randrange(1, 4))])


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
