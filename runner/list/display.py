"""Show options in the terminal: names of every group, a table of one group, or all that is known of one option."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.columns import Columns
from rich.table import Table
from rich.text import Text

from runner.config.groups import CONFIG_DIR
from runner.core.modules import LIBRARIES
from runner.core.terminal import Console
from runner.list import listing
from runner.list.listing import Row, Zoo

PIPED_WIDTH = 200
"""Characters per line if the output is not a terminal."""
WIDTH_OF_ALL_COLUMNS = 100
"""Narrower terminals show the names, and whether each can run here."""
RUNS_HERE = "runs here"
COLUMNS: Mapping[str, Mapping[str, Callable[[Row], str]]] = {
    "model": {
        "model": lambda row: row["name"],
        "task": lambda row: _task(row["task"]),
        "input [C, H, W]": lambda row: ", ".join(f"{tensor['name']} {_shape(tensor)}" for tensor in row["inputs"]),
        "published best": lambda row: _fastest(row["fastest"]),
        "accuracy": lambda row: _figures((row["most_accurate"] or {}).get("accuracy", {})),
        "source": lambda row: _end_of_path(row["guide"] or row["reference"] or ""),
        RUNS_HERE: lambda row: _model_here(row),
    },
    "dataset": {
        "dataset": lambda row: row["name"],
        "task": lambda row: _task(row["task"]) or "any",
        "metrics": lambda row: ", ".join(row["metrics"]),
        "scored against": lambda row: row["scored_against"],
        RUNS_HERE: lambda row: _here(row),
    },
    "soc": {
        "soc": lambda row: row["name"],
        "kind": lambda row: str(row["kind"]),
        "tools": lambda row: ", ".join(sorted(row["tools"], key=lambda tool: tool != row["tool"])),
        RUNS_HERE: lambda row: _here(row),
    },
    "tool": {
        "tool": lambda row: row["name"],
        "serves": lambda row: ", ".join(row["serves"]),
        RUNS_HERE: lambda row: _here(row),
    },
    "experiment": {
        "experiment": lambda row: row["name"],
        "model": lambda row: str(row["model"]),
        "soc": lambda row: str(row["soc"]),
        "sweeps": lambda row: "; ".join(f"{key} {', '.join(values)}" for key, values in row["sweeps"].items()),
        RUNS_HERE: lambda row: _here(row),
    },
}


def show_overview(console: Console, matches: Mapping[str, Sequence[Row]]) -> None:
    """Show the names of the options of each group, those that cannot run here dimmed."""
    for group, rows in matches.items():
        running = sum(row["runs_here"] for row in rows)
        console.print(f"{len(rows)} {group}s, of which {running} can run here now: python -m runner.list {group}")
        names = [Text(row["name"], style="" if row["runs_here"] else "dim") for row in rows]
        console.print(Columns(names, padding=(0, 2), column_first=False), "")
    console.print("a batch is any size; python -m runner.list NAME tells all of one, --json is for scripts")


def show_table(console: Console, group: str, rows: Sequence[Row], zoo: Zoo) -> None:
    """Show options of one group as a table."""
    if not rows:
        console.print(f"no {group} is all of that; python -m runner.list {group} shows all {len(zoo.content[group])}")
        return
    columns = dict(COLUMNS[group])
    if any(row["from"] != "conf" for row in rows):
        columns["from"] = lambda row: str(row["from"])
    if console.width < WIDTH_OF_ALL_COLUMNS:
        columns = {name: columns[name] for name in (next(iter(columns)), RUNS_HERE) if name in columns}
    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(cell(row)) for cell in columns.values()))
    console.print(table)
    console.print(f"{len(rows)} of {len(zoo.content[group])}; python -m runner.list {group} NAME tells all of one")


def show_details(console: Console, group: str, row: Row, zoo: Zoo) -> None:
    """Show all that is known of one option, and the command of an example run."""
    table = Table.grid("", "", padding=(0, 2))
    for key, value in row.items():
        if key not in ("published", "needs") and value not in (None, [], {}):
            table.add_row(key.replace("_", " "), Text(_in_words(key, value)))
    for need in row["needs"]:
        table.add_row("needs", Text(need))
    table.add_row("file", Text(str(zoo.files[group][row["name"]])))
    console.print(table)
    if row.get("published"):
        console.print(_published(row["published"]))
    console.print(Text(f"python -m runner {_command(group, row, zoo)}"), soft_wrap=True)


def _published(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("published on", "batch", "samples/s", "accuracy", "source")
    for row in rows:
        rate = row.get("samples_per_second")
        accuracy = _figures(row.get("accuracy") or {})
        shown = "" if rate is None else f"{rate:g}"
        doubt = f" (misprint: {row['misprint']})" if row.get("misprint") else ""
        table.add_row(row["soc"], str(row["batch"]), shown, accuracy, Text(f"{row['source']}{doubt}"))
    return table


def _command(group: str, row: Row, zoo: Zoo) -> str:
    """Return the arguments of an example run of an option."""
    if group == "experiment":
        return f"+experiment={row['name']}"
    own = [row.get(key) for key in ("network", "reader", "adapter", "compiler")]
    packages = dict.fromkeys(target.split(".")[0] for target in own if target)
    strange = [package for package in packages if package not in ("runner", "zoo", *LIBRARIES)]
    words = [CONFIG_DIR, str(zoo.config_dir)] if zoo.config_dir else []
    words += [f"allow=[{','.join(strange)}]"] if strange else []
    chosen = {"model": _example(row, zoo) if group == "dataset" else "dqn", group: row["name"]}
    if group == "model" and any(tensor["shape"] == listing.ITS_LIBRARYS for tensor in row["inputs"]):
        chosen["model.arch"] = "NAME"
    if group != "model" or row["weights"] == "missing":
        chosen["weights"] = "FILE" if row.get("library") == "onnx" else "random"
    if listing.NO_ROOT in row["needs"]:
        chosen["dataset.root"] = "DIR"
    if group == "tool":
        served = [name for name, soc in zoo.content["soc"].items() if soc.get("kind") in row["serves"]]
        chosen |= {"soc": served[0]} if served else {}
    if group == "soc" and row["from"] != "conf":
        chosen["tool"] = row["tool"]
    return shlex.join([*words, *(f"{key}={value}" for key, value in chosen.items())])


def _example(row: Row, zoo: Zoo) -> str:
    """Return a model that a data set is for and that runs without a checkpoint, preferably one that names it."""
    rows = [listing.row(zoo, "model", name) for name in zoo.content["model"]]
    fitting = [each for each in rows if each["network"] and row["task"] in (None, each["task"])]
    best = max(fitting, key=lambda each: (each["dataset"] == row["name"], each["name"] == "dqn"), default=None)
    return best["name"] if best else "NAME"


def _task(task: object) -> str:
    return str(task or "").replace("_", " ")


def _shape(tensor: Mapping[str, Any]) -> str:
    """Describe a shape as in `[3, 224, 224]`; a free size is `any`, or its name."""
    if not isinstance(tensor["shape"], list):
        return str(tensor["shape"])
    return f"[{', '.join('any' if size is None else str(size) for size in tensor['shape'])}]"


def _in_words(key: str, value: object) -> str:
    if key == "inputs":
        return ", ".join(f"{spec['name']} {_shape(spec)} {spec['dtype']}" for spec in value)  # type: ignore[attr-defined]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        known = {key: item for key, item in value.items() if item is not None}
        return ", ".join(f"{key} {_in_words(key, item)}" for key, item in known.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return " ".join(str(value).split())


def _fastest(fastest: Mapping[str, Any] | None) -> str:
    return f"{fastest['samples_per_second']:g}/s {fastest['soc']} bs{fastest['batch']}" if fastest else ""


def _figures(accuracy: Mapping[str, float]) -> str:
    return ", ".join(f"{metric} {value:g}" for metric, value in accuracy.items())


def _end_of_path(url: str) -> str:
    return url.split(" @ ")[0].split(" (")[0].removesuffix("/").split("/")[-1]


def _here(row: Row) -> str:
    if row["runs_here"]:
        return "yes"
    first, *more = row["needs"]
    return f"no: {first}" + (f" (and {len(more)} more)" if more else "")


def _model_here(row: Row) -> str:
    if row["runs_here"]:
        return "yes, fetches weights" if row["weights"] == "url" else "yes"
    if len(row["needs"]) == 1 and row["weights"] == "missing" and row["library"] != "onnx":
        return f"weights=random, or get {row['checkpoint']['file']}"
    return _here(row)
