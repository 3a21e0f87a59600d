"""`python -m runner.list [GROUP] [NAME ...] [key=value ...]`: list options and what can run here."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from runner import cli
from runner.config import options
from runner.config.groups import CONFIG_DIR_FLAGS, LISTED, config_folder
from runner.core import ConfigError, did_you_mean
from runner.core.terminal import Console
from runner.list import display, listing
from runner.list.listing import Row, Zoo

FILTERS: Mapping[str, Mapping[str, str]] = {
    "model": {
        **{key: key for key in ("name", "task", "dataset", "library", "weights")},
        "soc": "published",
        "here": "runs_here",
    },
    "dataset": {"name": "name", "task": "task", "metric": "metrics", "here": "runs_here"},
    "soc": {"name": "name", "kind": "kind", "tool": "tools", "here": "runs_here"},
    "tool": {"name": "name", "kind": "serves", "here": "runs_here"},
    "experiment": {"name": "name", "model": "model", "soc": "soc", "here": "runs_here"},
}
"""Group -> filter -> key of the row it is matched against; if that has several values, any of them may match."""

KEYS = """\
--json prints one object, {group: [option, ...]}; of each option
  all:        name  from (conf, or your folder)  runs_here (true|false, with weights=auto)  needs (what is lacking)
  model:      task  dataset  inputs [{name, shape, dtype}; null for a free size]  outputs
              network (null for an ONNX file from outside)  library (then onnx)  weights (file|package|url|missing)
              checkpoint {file, url, where, size_bytes; of the ONNX file if it is one}  reference  guide
              fastest {soc, batch, samples_per_second}  most_accurate {soc, batch, accuracy {metric: percent}}
              published [{soc, batch, accuracy, samples_per_second, source, misprint}]
  dataset:    task (null for any)  reader  scored_against  metrics
  soc:        kind  soc_version  chips  tool  tools  source
  tool:       serves  adapter  compiler
  experiment: model  soc  sweeps {key: [value, ...]}
What is not known is null. With soc=NAME, a model's published figures are those on that SoC.

filters:
""" + "\n".join(f"  {group + ':':<11} {'  '.join(f'{key}=' for key in keys)}" for group, keys in FILTERS.items())


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
    return {
        group: [_on(row, soc) for row in rows] if soc and group == "model" else rows for group, rows in matches.items()
    }


def _parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="python -m runner.list",
        description="What can be chosen, where it is from, and what can run on this machine now. key=value filters;"
        " a value may have * and ?, and be several with commas.",
        epilog=KEYS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="a group (model, dataset, soc, tool, experiment), options by name, filters",
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
        f"{name} is no group, and no model, dataset, soc, tool or experiment",
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
    console = Console(soft_wrap=False, width=None if sys.stdout.isatty() else display.PIPED_WIDTH)
    if question.names:
        for group, rows in matches.items():
            for row in rows:
                display.show_details(console, group, row, zoo)
    elif len(question.groups) > 1:
        display.show_overview(console, matches)
    else:
        (group,) = question.groups
        display.show_table(console, group, matches[group], zoo)


if __name__ == "__main__":
    sys.exit(main())
