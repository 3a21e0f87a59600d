"""List the options as rows, with what can run on this machine now.

Nothing is composed, and no code is imported but the runner's own tool adapters, so that a zoo of hundreds of models is
listed in a second.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from runner.config import groups, options, references
from runner.config.schema import CHECKPOINTS, in_language
from runner.core import ConfigError
from runner.core.modules import LIBRARIES, module_path
from runner.list.machine import Machine

Row = dict[str, Any]
"""The properties of an option, by the names that `python -m runner.list --help` documents."""

NO_ROOT = "dataset.root=DIR is not given"
"""What a data set needs whose reader takes a folder."""
ITS_LIBRARYS = "as its library says"
"""Stands for a value that depends on the network chosen from a library."""


@dataclass(frozen=True)
class Zoo:
    """The options of all groups: the runner's own and those in a user's folder."""

    config_dir: Path | None = None

    @cached_property
    def content(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """Group -> name -> content of the file; {"broken": error message} if it cannot be read."""
        return {
            group: {name: _content(path) for name, path in sorted(files.items())} for group, files in self.files.items()
        }

    @cached_property
    def files(self) -> Mapping[str, Mapping[str, Path]]:
        """Group -> name -> file."""
        own = {group: self.config_dir if group in groups.GROUPS else None for group in groups.LISTED}
        return {group: groups.files(group, folder) for group, folder in own.items()}

    def source(self, group: str, name: str) -> str:
        """Return `conf` for the runner's own options, else the user's folder."""
        folder = self.files[group][name].parent.parent
        return "conf" if folder == groups.CONF else str(folder)

    @cached_property
    def default(self) -> Mapping[str, str]:
        """Group -> default option, from config.yaml."""
        entries = options.read(groups.CONF / "config.yaml")["defaults"]
        return {group: name for entry in entries if isinstance(entry, dict) for group, name in entry.items()}

    @cached_property
    def machine(self) -> Machine:
        """The tools and cards of this machine."""
        own = frozenset(name for name in self.files["tool"] if self.source("tool", name) == "conf")
        return Machine(self.content["tool"], own, self.missing_modules)

    def missing_modules(self, target: object) -> Iterator[str]:
        """Yield why a callable cannot be imported: its module, or a package that the module imports, is missing."""
        if not isinstance(target, str) or "." not in target:
            return
        module = target.rpartition(".")[0]
        top = module.split(".")[0]
        if top in LIBRARIES:
            if importlib.util.find_spec(top) is None:
                yield f"{top} is not installed"
            return
        path = module_path(module) or self._module_beside(module)
        if path is None:
            yield f"there is no module {module}"
            return
        yield from (
            f"{name} is not installed"
            for name in sorted(_imported(path) - {top})
            if importlib.util.find_spec(name) is None
        )

    def _module_beside(self, module: str) -> Path | None:
        """Return the file of a module beside the user's folder; only `allow` makes it importable."""
        if self.config_dir is None:
            return None
        stem = self.config_dir.absolute().parent.joinpath(*module.split("."))
        return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = options.read(path)
    except ConfigError as error:
        return {"broken": error.message}
    is_own = path.parents[1] == groups.CONF
    refused = None if is_own else next(references.beyond(content, path.parent.name), None)
    return content if refused is None else {"broken": "{}: {} is {!r}, and {}".format(path, *refused)}


def row(zoo: Zoo, group: str, name: str) -> Row:
    """Return the row of one option.

    If its file cannot be read or does not match the schema, its needs say so.
    """
    make = {"model": _model, "dataset": _dataset, "soc": _soc, "tool": _tool, "experiment": _experiment}[group]
    content = zoo.content[group][name]
    broken = content.get("broken")
    try:
        properties = make(zoo, name, {} if broken else content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        properties = make(zoo, name, {})
        broken = f"{zoo.files[group][name]} is not what the schema asks for ({type(error).__name__}: {error})"
    needs = properties.pop("needs")
    needs = [broken] if broken else needs
    return {"name": name, "from": zoo.source(group, name), **properties, "runs_here": not needs, "needs": needs}


def _model(zoo: Zoo, name: str, content: Mapping[str, Any]) -> Row:
    outside = content.get("onnx")
    checkpoint = outside or content.get("checkpoint") or {}
    network = (content.get("network") or {}).get("_target_")
    decode = content.get("decode")
    decoder = decode.get("_target_") if isinstance(decode, Mapping) else None
    published = [{**row, "soc": str(row["soc"])} for row in content.get("published") or []]
    weights, lacking = _weights(checkpoint, can_be_random=not outside)
    modules = [*zoo.missing_modules(network), *zoo.missing_modules(decoder)]
    needs = [*modules, *lacking, *zoo.machine.lacks("onnxruntime", "cpu")]
    dataset = _override(content, "dataset")
    task = _plain(content.get("task"))
    if task == ITS_LIBRARYS and dataset is not None:  # which is for the task of the one network that this is
        task = zoo.content["dataset"].get(dataset, {}).get("task", task)
    return {
        "task": task,
        "dataset": dataset or zoo.default["dataset"],
        "inputs": [
            {"name": tensor["name"], "shape": _plain(tensor["shape"]), "dtype": tensor.get("dtype", "float32")}
            for tensor in content.get("inputs") or []
        ],
        "outputs": _plain(content.get("outputs") or []),
        "network": network,
        "library": "onnx" if outside else _library(network) if network else None,
        "weights": weights,
        "checkpoint": {key: _plain(checkpoint.get(key)) for key in ("file", "url", "where", "size_bytes")},
        "reference": _plain(content.get("reference")),
        "guide": (content.get("guide") or {}).get("url"),
        **best(published),
        "published": published,
        "needs": needs,
    }


def _library(network: str) -> str:
    """Return the package of a network; for the runner's own builders, the library they build from."""
    return "torchvision" if network.startswith("runner.") else network.split(".")[0]


def best(published: Sequence[Mapping[str, Any]]) -> Row:
    """Return `fastest` {soc, batch, samples_per_second} and `most_accurate` {soc, batch, accuracy}, None if unknown.

    The most accurate row is the best by its first metric. Evident misprints never count.
    """
    credible = [row for row in published if not row.get("misprint")]
    fast = [row for row in credible if row.get("samples_per_second") is not None]
    scored = [row for row in credible if row.get("accuracy")]
    fastest = max(fast, key=lambda row: float(row["samples_per_second"]), default=None)
    accurate = max(scored, key=lambda row: float(next(iter(row["accuracy"].values()))), default=None)
    return {
        "fastest": fastest and {key: fastest[key] for key in ("soc", "batch", "samples_per_second")},
        "most_accurate": accurate and {key: accurate[key] for key in ("soc", "batch", "accuracy")},
    }


def _weights(checkpoint: Mapping[str, Any], can_be_random: bool) -> tuple[str, list[str]]:
    """Return the source of weights with weights=auto (file, package, url or missing), and what is lacking."""
    file, package = checkpoint.get("file"), checkpoint.get("package")
    own = None
    if isinstance(file, str) and "${" not in file:
        own = CHECKPOINTS / file if package is None else _in_package(str(package), file)
    if own is not None and own.is_file():
        return "file" if package is None else "package", []
    if checkpoint.get("url"):
        return "url", []
    source = in_language(checkpoint.get("where")) or "the model's YAML names no source"
    if package is not None:
        lacking = f"{package} is not installed" if own is None else f"{package} does not hold {file}"
    else:
        lacking = f"{CHECKPOINTS / str(file)} is not there"
    return "missing", [f"{lacking} ({source})" + ("; weights=random does without" if can_be_random else "")]


def _in_package(package: str, file: str) -> Path | None:
    """Return the path of a file of an installed package; None if the package is not installed."""
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    folders = found.submodule_search_locations if found else None
    return Path(folders[0]) / file if folders else None


def _dataset(zoo: Zoo, name: str, content: Mapping[str, Any]) -> Row:
    reader = content.get("reader") or {}
    needs = list(zoo.missing_modules(reader.get("_target_")))
    root = reader.get("root")
    if "root" in reader and not content.get("root") and not (isinstance(root, str) and "${" not in root):
        needs.append(NO_ROOT)
    return {
        "task": _plain(content.get("task")),
        "reader": reader.get("_target_"),
        "scored_against": content.get("scored_against", "labels"),
        "metrics": list(content.get("metrics") or {}),
        "needs": needs,
    }


def _soc(zoo: Zoo, name: str, content: Mapping[str, Any]) -> Row:
    kind = content.get("kind")
    serving = [name for name, tool in zoo.content["tool"].items() if kind in (tool.get("serves") or [])]
    own = _override(content, "tool") or zoo.default["tool"]
    needs = [] if own in zoo.content["tool"] else [f"there is no tool {own}"]
    if not needs and kind:
        needs = [*zoo.machine.lacks_card(kind, content.get("soc_version")), *zoo.machine.lacks(own, kind)]
    return {
        "kind": kind,
        "soc_version": content.get("soc_version"),
        "chips": content.get("chips", 1),
        "tool": own,
        "tools": serving,
        "source": content.get("source"),
        "needs": needs,
    }


def _tool(zoo: Zoo, name: str, content: Mapping[str, Any]) -> Row:
    serves = list(content.get("serves") or [])
    lacking = [zoo.machine.lacks(name, kind) for kind in serves]
    return {
        "serves": serves,
        "adapter": (content.get("adapter") or {}).get("_target_"),
        "compiler": (content.get("compiler") or {}).get("_target_"),
        "needs": min(lacking, key=len, default=[]),  # a tool that can run on one kind of SoC here is usable
    }


def _experiment(zoo: Zoo, _: str, content: Mapping[str, Any]) -> Row:
    chosen = {group: _override(content, group) or zoo.default.get(group) for group in ("model", "soc")}
    swept = ((content.get("hydra") or {}).get("sweeper") or {}).get("params") or {}
    needs = [need for group, name in chosen.items() if name for need in row(zoo, group, name)["needs"]]
    return {
        **chosen,
        "sweeps": {key: [value.strip("' ") for value in str(values).split(",")] for key, values in swept.items()},
        "needs": list(dict.fromkeys(needs)),
    }


def _imported(path: Path) -> set[str]:
    """Return the packages that a module imports, without the standard library."""
    packages: set[str] = set()
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            packages.add(node.module.split(".")[0])
    return packages - set(sys.stdlib_module_names)


def _override(content: Mapping[str, Any], group: str) -> str | None:
    """Return the option of another group that an option chooses, as in `- override /tool@_global_.tool: trtexec`."""
    for entry in content.get("defaults") or []:
        for key, name in entry.items() if isinstance(entry, dict) else ():
            if str(key).split("@")[0].split() == ["override", f"/{group}"]:
                return str(name)
    return None


def _plain(value: object) -> object:
    """Return a value, or ITS_LIBRARYS for one that only composing would resolve."""
    return ITS_LIBRARYS if isinstance(value, str) and "${" in value else value
