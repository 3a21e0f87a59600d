"""`python -m runner.report [DIR ...]`: the results below folders as tables, a page, Markdown and CSV."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from runner import overrides
from runner.errors import StoreError
from runner.hashing import write_atomically
from runner.report import contents, csv_file, html_page, markdown, output, published, results, terminal
from runner.report.contents import Contents

MOST_LINES_OF_TABLES = 500
"""In the terminal; the files hold all of them."""
LINES_BESIDE_ROWS = 8
"""Of a table: its title, heading, rules and footnotes, about."""
PIPED_WIDTH = 200
"""Characters a line where the output is no terminal."""
MOST_LINES_SHOWN = 20
"""Failed runs, and skipped files, that the terminal names."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print and write the report; returns 0, or 1 where there is nothing to report or no place to write it."""
    options = _parser().parse_intermixed_args(arguments)
    folders: list[Path] = options.folders or [Path("outputs")]

    def report() -> int:
        own = overrides.config_folder([options.config_dir]) if options.config_dir is not None else None
        return _report(folders, options.out or _folder_of(folders), own)

    return output.exit_code_of(report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runner.report",
        description="Tables of the results below folders, in the terminal and as report.md, report.csv, report.html.",
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR", help="where result.json files lie [outputs]")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write the report [the first DIR]")
    parser.add_argument(
        *overrides.CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours: its published figures as they are now"
    )
    return parser


def _folder_of(places: Sequence[Path]) -> Path:
    """The first that there is."""
    place = next((place for place in places if place.exists()), places[0])
    return place.parent if place.is_file() else place


def _report(folders: Sequence[Path], out: Path, config_dir: Path | None) -> int:
    found = results.find(folders)
    told = contents.gather(found, published.of_results(found.results, config_dir))
    if not found.results:
        _show_remarks(told)
        print(
            f"error: no results below {', '.join(map(str, folders))}\n"
            "    fix: run a model first, as in `python -m runner model=dqn weights=random`, or name the folder that"
            " holds the runs: python -m runner.report DIR",
            file=sys.stderr,
        )
        return 1
    written = _write(told, out)
    _show(told)
    print(f"report: {', '.join(map(str, written))}")
    return 0


def _write(told: Contents, out: Path) -> list[Path]:
    files = {
        "report.md": markdown.page(told),
        "report.csv": csv_file.text(told),
        "report.html": html_page.page(told),
    }
    try:
        for name, text in files.items():
            write_atomically(out / name, text.encode(errors="replace"))
    except OSError as error:
        raise StoreError(
            f"the report cannot be written to {out}: {error.strerror}", "name a folder that can be with --out DIR"
        ) from error
    return [out / name for name in files]


def _show(told: Contents) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    lines = 0
    for index, section in enumerate(told.sections):
        lines += len(section.table.batches) + LINES_BESIDE_ROWS
        if lines > MOST_LINES_OF_TABLES and index:
            console.print(f"and {len(told.sections) - index} tables more: see the report's files")
            break
        console.print(terminal.render(section.table))
        console.print()
    _show_remarks(told)


def _show_remarks(told: Contents) -> None:
    failed = [terminal.told_failed(run) for run in told.failed]
    skipped = [f"skipped: {one.path}: {one.reason}" for one in told.skipped]
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for lines in (failed, skipped):
        for line in lines[:MOST_LINES_SHOWN]:
            console.print(line, style="yellow", markup=False)
        if len(lines) > MOST_LINES_SHOWN:
            console.print(f"and {len(lines) - MOST_LINES_SHOWN} more", style="yellow")


if __name__ == "__main__":
    gc.disable()  # all results are there to stay; looking for garbage among thousands takes a third of the time
    sys.exit(main())
