"""`python -m runner.cache [list | verify | prune] [cache_dir=DIR]`: list, verify or remove stored artifacts."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.filesize import decimal
from rich.progress import track
from rich.table import Table

from runner import cli
from runner.core import ConfigError, at_home, visible
from runner.core.terminal import Console
from runner.stages import order
from runner.store import Inventory, Listed, inventory, pruning

DEFAULT = Path("outputs/cache")
COMMANDS = ("list", "verify", "prune")
CACHE_DIR = "cache_dir="
PIPED_WIDTH = 160
"""Characters per line if the output is not a terminal."""
_BYTES = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d+)?)\s*([kmgt]?i?)b?", re.IGNORECASE)
_AGE = re.compile(r"(\d{1,18}(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 if an artifact is damaged or the store cannot be used."""
    return cli.exit_code_of(lambda: _do(_parser().parse_intermixed_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="python -m runner.cache",
        description="List the artifacts that runs have stored, read all of them again, or remove what is used least.",
    )
    parser.add_argument("words", nargs="*", metavar="list | verify | prune | cache_dir=DIR", help="what to do, where")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help=f"the same as cache_dir=DIR [{DEFAULT}]")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--remove", action="store_true", help="verify: remove what is damaged")
    parser.add_argument(
        "--to", metavar="SIZE", help="prune: down to SIZE, as 20GB or 500MiB; least recently used first"
    )
    parser.add_argument("--older-than", metavar="AGE", help="prune: what was not used for AGE, as 30d, 12h or 2w")
    return parser


def _do(options: argparse.Namespace) -> int:
    command, root = _words(options.words, options.cache_dir)
    to_bytes = None if options.to is None else parse_size(options.to)
    older_than_seconds = None if options.older_than is None else parse_age(options.older_than)
    for option, given, belongs in (
        ("--to", options.to, "prune"),
        ("--older-than", options.older_than, "prune"),
        ("--remove", options.remove or None, "verify"),
    ):
        if given is not None and command != belongs:
            raise ConfigError(f"{option} does nothing for {command}", f"python -m runner.cache {belongs} {option} ...")
    if command == "list":
        return _list(root, options.json)
    if command == "verify":
        return _verify(root, options.json, options.remove)
    return _prune(root, options.json, to_bytes, older_than_seconds)


def _words(words: Sequence[str], cache_dir: Path | None) -> tuple[str, Path]:
    folders = [Path(word.removeprefix(CACHE_DIR)) for word in words if word.startswith(CACHE_DIR)]
    commands = [word for word in words if not word.startswith(CACHE_DIR)]
    if len(commands) > 1 or not set(commands) <= set(COMMANDS):
        raise ConfigError(
            f"{' '.join(commands)!r} is no command", f"give one of {', '.join(COMMANDS)}, or none to list"
        )
    given = cache_dir or (folders[-1] if folders else None)
    root = at_home(given or DEFAULT).absolute()
    if given is not None and not root.is_dir():
        raise ConfigError(
            f"cache_dir is {root}, which is no folder", "give the folder that runs store in: cache_dir=DIR"
        )
    return (commands or ["list"])[0], root


def parse_size(text: str) -> int:
    """Return the number of bytes of a size such as 20GB, 500MiB or 0.

    Raises:
        ConfigError: it is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].lower() not in _BYTES:
        raise ConfigError(f"--to {text!r} is no size", "give a number and a unit, as in --to 20GB or --to 500MiB")
    return int(float(match[1]) * _BYTES[match[2].lower()])


def parse_age(text: str) -> float:
    """Return the seconds of an age such as 30d, 12h or 2w.

    Raises:
        ConfigError: it is not an age.
    """
    match = _AGE.fullmatch(text.strip().lower())
    if match is None:
        raise ConfigError(f"--older-than {text!r} is no age", "give a number and s, m, h, d or w, as in 30d")
    return float(match[1]) * _SECONDS[match[2]]


def _list(root: Path, as_json: bool) -> int:
    stored = inventory.take(root, order.STORED)
    if as_json:
        _print_json(_listing(root, stored))
        return 0
    if stored.artifacts:
        _print_table(stored)
    else:
        print(visible(f"nothing is stored in {root}"))
    _print_remarks(stored)
    return 0


def _verify(root: Path, as_json: bool, remove: bool) -> int:
    stored = inventory.take(root, order.STORED)
    damaged = [
        (artifact, why)
        for artifact in _with_progress(stored.artifacts)
        if (why := inventory.damage(root, artifact)) is not None
    ]
    removed = pruning.remove_artifacts(root, [artifact for artifact, _ in damaged])[0] if remove else []
    if as_json:
        _print_json(
            {
                "cache_dir": str(root),
                "artifacts": len(stored.artifacts),
                "size_bytes": stored.size_bytes,
                "damaged": [{"stage": artifact.stage, "key": artifact.key, "reason": why} for artifact, why in damaged],
                "removed": [{"stage": artifact.stage, "key": artifact.key} for artifact in removed],
            }
        )
        return int(bool(damaged))
    for artifact, why in damaged:
        place = root / artifact.stage / artifact.key
        print(visible(f"damaged: {place}: {why}{'; removed' if artifact in removed else ''}"))
    whole = len(stored.artifacts) - len(damaged)
    print(f"{whole} of {len(stored.artifacts)} artifacts are whole, {decimal(stored.size_bytes)} were read")
    if damaged and not remove:
        print(
            "the next run that needs a damaged one makes it again; `python -m runner.cache verify --remove` removes it"
        )
    return int(bool(damaged))


def _with_progress(artifacts: Sequence[Listed]) -> Iterable[Listed]:
    """Return the artifacts with a progress bar on a terminal."""
    return track(artifacts, "reading", console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _prune(root: Path, as_json: bool, to_bytes: int | None, older_than_seconds: float | None) -> int:
    before = inventory.take(root, order.STORED)
    now = time.time()
    leftovers = pruning.remove_leftovers(root, None if older_than_seconds is None else now - older_than_seconds)
    chosen = inventory.to_prune(before.artifacts, now, to_bytes, older_than_seconds)
    removed, kept = pruning.remove_artifacts(root, chosen)
    pruning.remove_leftovers(root)  # the locks of the removed artifacts
    left_bytes = before.size_bytes - sum(each.size_bytes for each in removed)
    if as_json:
        content = {
            "cache_dir": str(root),
            "removed": [asdict(each) for each in removed],
            "kept_in_use": [asdict(each) for each in kept],
            "unfinished_removed": [str(path) for path in leftovers],
            "size_bytes": left_bytes,
        }
        _print_json(content)
        return 0
    for path in leftovers:
        print(visible(f"removed what was not finished: {path}"))
    for each in removed:
        print(f"removed: {each.stage} {each.key}, {decimal(each.size_bytes)}, last used {_time(each.used_at)}")
    for each in kept:
        print(f"kept, for a run has taken it: {each.stage} {each.key}")
    print(f"{len(removed)} artifacts removed, {len(before.artifacts) - len(removed)} left, {decimal(left_bytes)}")
    if to_bytes is not None and left_bytes > to_bytes:
        print(f"more than {decimal(to_bytes)}, for the rest is in use by running jobs")
    return 0


def _listing(root: Path, stored: Inventory) -> dict[str, Any]:
    return {
        "cache_dir": str(root),
        "size_bytes": stored.size_bytes,
        "artifacts": [asdict(artifact) for artifact in stored.artifacts],
        "unfinished": [{"path": str(path), "in_use": in_use} for path, in_use in stored.unfinished],
        "foreign": [str(path) for path in stored.foreign],
    }


def _print_table(stored: Inventory) -> None:
    table = Table("stage", "key", "size", "made", "last used", "model", "of", "", box=None)
    table.columns[2].justify = "right"
    for each in sorted(stored.artifacts, key=lambda each: -each.used_at):
        made = "" if each.made_at is None else _time(each.made_at)
        size = decimal(each.size_bytes)
        table.add_row(each.stage, each.key, size, made, _time(each.used_at), each.model, each.detail, _state(each))
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(table)
    print(f"{len(stored.artifacts)} artifacts, {decimal(stored.size_bytes)}")


def _print_remarks(stored: Inventory) -> None:
    for path, in_use in stored.unfinished:
        print(visible(f"being made: {path}" if in_use else f"not finished, and nobody is at it: {path}"))
    for path in stored.foreign:
        print(visible(f"not the store's, left alone: {path}"))


def _state(each: Listed) -> str:
    return ", ".join(
        filter(None, ["in use" if each.in_use else "", f"damaged: {each.damage}" if each.damage is not None else ""])
    )


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    sys.exit(main())
