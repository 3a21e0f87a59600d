"""`python -m runner.list [model|dataset|soc|tool] [NAME ...] [key=value ...]`: list options and what can run here."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from rich.columns import Columns
from rich.table import Table
from rich.text import Text

from runner import cli
from runner.cli import Parser
from runner.config import options
from runner.config.groups import CONFIG_DIR, CONFIG_DIR_FLAGS, LISTED, config_folder
from runner.core import ConfigError, did_you_mean
from runner.core.modules import LIBRARIES
from runner.core.terminal import Console
from runner.list import listing
from runner.list.listing import Row, Zoo

PIPED_WIDTH = 200
"""Characters per line if the output is not a terminal."""

FILTERS: Mapping[str, Mapping[str, str]] = {
    "model": {
        **{key: key for key in ("name", "task", "dataset", "library", "weights")},
        "soc": "published",
        "here": "runs_here",
    },
    "dataset": {"name": "name", "task": "task", "metric": "metrics", "here": "runs_here"},
    "soc": {"name": "name", "kind": "kind", "tool": "tools", "here": "runs_here"},
    "tool": {"name": "name", "kind": "serves", "here": "runs_here"},
}
"""Group -> filter -> key of the row it is matched against; if that has several values, any of them may match."""

KEYS = """\
--json prints one object, {group: [option, ...]}; of each option
  all:      name  from (conf, or your folder)  runs_here (true|false, with weights=auto)  needs (what is lacking)
  model:    task  dataset  inputs [{name, shape, dtype}; null for a free size]  outputs
            network (null for an ONNX file from outside)  library (then onnx)  weights (file|package|url|missing)
            checkpoint {file, url, where, size_bytes; of the ONNX file if it is one}  reference  guide
            fastest {soc, batch, samples_per_second}  most_accurate {soc, batch, accuracy {metric: percent}}
            published [{soc, batch, accuracy, samples_per_second, source, misprint}]
  dataset:  task (null for any)  reader  scored_against  metrics
  soc:      kind  soc_version  chips  tool  tools  source
  tool:     serves  adapter  compiler
What is not known is null. With soc=NAME, a model's published figures are those on that SoC.

filters:
""" + "\n".join(f"  {group + ':':<9} {'  '.join(f'{key}=' for key in keys)}" for group, keys in FILTERS.items())


@dataclass(frozen=True)
class Question:
    """A parsed command line: the groups to list, the names of options, and filters."""

    groups: tuple[str, ...]
    names: tuple[str, ...]
    filters: Mapping[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the options; return 0, or 1 if a requested one does not exist."""
    return cli.exit_code_of(lambda: _list(_parser().parse_intermixed_args(arguments)))


def _list(asked: argparse.Namespace) -> None:
    zoo = Zoo(config_folder([asked.config_dir]) if asked.config_dir is not None else None)
    question = parse(asked.words, zoo)
    matches = find(question, zoo)
    if asked.json:
        print(json.dumps(matches, indent=1))
    else:
        _show(question, matches, zoo)


def parse(words: Sequence[str], zoo: Zoo) -> Question:
    """Parse the words of the command line.

    Raises:
        ConfigError: an unknown group, option or filter; the error suggests the nearest ones.
    """
    filters = dict(word.split("=", 1) for word in words if "=" in word)
    names = [word for word in words if "=" not in word]
    groups: tuple[str, ...] = LISTED
    if names and names[0] in LISTED:
        groups = (names.pop(0),)
    elif filters and not names:
        groups = ("model",)
    for name in names:
        _check_name(name, groups, zoo)
    groups = tuple(group for group in groups if not names or set(names) & set(zoo.content[group]))
    _check_filters(filters, groups)
    return Question(groups, tuple(names), filters)


def find(question: Question, zoo: Zoo) -> dict[str, list[Row]]:
    """Return group -> matching rows.

    Raises:
        ConfigError: no option has a filter's value; the error suggests the nearest ones.
    """
    matches = {}
    for group in question.groups:
        named = [name for name in zoo.content[group] if not question.names or name in question.names]
        rows = [listing.row(zoo, group, name) for name in named]
        matching = [(key, _matching(group, key, wanted, rows)) for key, wanted in question.filters.items()]
        matches[group] = [row for row in rows if all(row["name"] in names for _, names in matching)]
    soc = question.filters.get("soc")
    return {group: [_on(row, soc) for row in rows] if soc else rows for group, rows in matches.items()}


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m runner.list",
        description="What can be chosen, where it is from, and what can run on this machine now. key=value filters;"
        " a value may have * and ?, and be several with commas.",
        epilog=KEYS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="a group (model, dataset, soc, tool), options by name, filters"
    )
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.add_argument(*CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours, listed too")
    return parser


def _check_name(name: str, groups: Sequence[str], zoo: Zoo) -> None:
    known = [option for group in groups for option in zoo.content[group]]
    if name in known:
        return
    if len(groups) == 1:
        raise options.unknown(groups[0], name, known)
    if name == "batch":
        raise ConfigError("a batch is any size of at least 1", "type it, as in batch=32")
    raise ConfigError(
        f"{name} is no group, and no model, dataset, soc or tool",
        did_you_mean(name, [*groups, *known]) or f"choose a group from {', '.join(groups)}",
    )


def _check_filters(filters: Mapping[str, str], groups: Sequence[str]) -> None:
    for group in groups:
        for key in filters:
            if key not in FILTERS[group]:
                hint = did_you_mean(key, FILTERS[group])
                fix = f"{hint} choose from {', '.join(FILTERS[group])}".lstrip()
                raise ConfigError(f"{key}= is no filter of {group}", fix)


def _matching(group: str, key: str, wanted: str, rows: Sequence[Row]) -> set[str]:
    """Return the names of the rows that pass a filter."""
    if key == "here" and wanted not in ("yes", "no"):
        raise ConfigError(f"here is {wanted!r}", "choose from yes, no")
    values = {row["name"]: _words(row[FILTERS[group][key]]) for row in rows}
    patterns = [pattern.removeprefix("Ascend") if key == "soc" else pattern for pattern in wanted.split(",")]
    names = {name for name, own in values.items() if any(_matches(value, patterns) for value in own)}
    known = sorted({value for own in values.values() for value in own})
    if not names and known and key != "here":
        raise ConfigError(
            f"no {group} has {key}={wanted}",
            did_you_mean(wanted, known) or f"there are {', '.join(known[: options.MOST_LISTED])}",
        )
    return names


def _matches(value: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(value.casefold(), pattern.casefold()) for pattern in patterns)


def _on(row: Row, soc: str) -> Row:
    """Return a model's row with the published figures of the given SoCs only."""
    patterns = [pattern.removeprefix("Ascend") for pattern in soc.split(",")]
    published = [figures for figures in row["published"] if _matches(figures["soc"], patterns)]
    return {**row, **listing.best(published), "published": published}


def _words(value: object) -> list[str]:
    """Return the values of a row's key as they are spelled in filters."""
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, list):
        return [str(item["soc"] if isinstance(item, Mapping) else item) for item in value]
    return [] if value is None else [str(value)]


def _show(question: Question, matches: Mapping[str, Sequence[Row]], zoo: Zoo) -> None:
    console = Console(soft_wrap=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    if question.names:
        for group, rows in matches.items():
            for row in rows:
                _show_details(console, group, row, zoo)
    elif len(question.groups) > 1:
        _show_overview(console, matches)
    else:
        (group,) = question.groups
        _show_table(console, group, matches[group], zoo)


def _show_overview(console: Console, matches: Mapping[str, Sequence[Row]]) -> None:
    for group, rows in matches.items():
        running = sum(row["runs_here"] for row in rows)
        console.print(f"{len(rows)} {group}s, of which {running} can run here now: python -m runner.list {group}")
        names = [Text(row["name"], style="" if row["runs_here"] else "dim") for row in rows]
        console.print(Columns(names, padding=(0, 2), column_first=False), "")
    console.print("a batch is any size; python -m runner.list NAME tells all of one, --json is for scripts")


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
}


def _show_table(console: Console, group: str, rows: Sequence[Row], zoo: Zoo) -> None:
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


def _show_details(console: Console, group: str, row: Row, zoo: Zoo) -> None:
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
    if "dataset.root=DIR is not given" in row["needs"]:
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


if __name__ == "__main__":
    sys.exit(main())
