"""`python -m runner.report [DIR ...]`: the results below folders as tables, a page, Markdown and CSV."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from runner import cli, results
from runner.config import groups
from runner.core import StoreError, write_atomically
from runner.report import contents, csv_file, html_page, markdown, previews, terminal
from runner.report.contents import Contents
from runner.results import published

MOST_LINES_OF_TABLES = 500
"""Limit for the terminal; the files hold all tables."""
LINES_BESIDE_ROWS = 8
"""About how many lines a table's title, heading, rules and footnotes take."""
PIPED_WIDTH = 200
"""Characters per line if the output is not a terminal."""
MOST_LINES_SHOWN = 20
"""How many failed runs, and skipped files, are listed in the terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print and write the report; return 0, or 1 if there are no results or the report cannot be written."""
    options = _parser().parse_intermixed_args(arguments)
    folders: list[Path] = options.folders or [Path("outputs")]

    def report() -> int:
        own = groups.config_folder([options.config_dir]) if options.config_dir is not None else None
        return _report(folders, options.out or _folder_of(folders), own)

    return cli.exit_code_of(report)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runner.report",
        description="Tables of the results below folders, in the terminal and as report.md, report.csv, report.html.",
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR", help="where result.json files lie [outputs]")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write the report [the first DIR]")
    parser.add_argument(
        *groups.CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours: its published figures as they are now"
    )
    return parser


def _folder_of(folders: Sequence[Path]) -> Path:
    """Return the first folder that exists; for a file, its folder."""
    path = next((path for path in folders if path.exists()), folders[0])
    return path.parent if path.is_file() else path


def _report(folders: Sequence[Path], out: Path, config_dir: Path | None) -> int:
    found = results.find(folders)
    content = contents.gather(found, published.of_results(found.results, config_dir))
    if not found.results:
        _show_remarks(content)
        print(
            f"error: no results below {', '.join(map(str, folders))}\n"
            "    fix: run a model first, as in `python -m runner model=dqn weights=random`, or name the folder that"
            " holds the runs: python -m runner.report DIR",
            file=sys.stderr,
        )
        return 1
    written = _write(content, out)
    _show(content)
    print(f"report: {', '.join(map(str, written))}")
    return 0


def _write(content: Contents, out: Path) -> list[Path]:
    shown = [run for section in content.sections for run in section.runs]
    files = {
        "report.md": markdown.page(content),
        "report.csv": csv_file.text(content),
        "report.html": html_page.page(content, previews.of_runs(shown)),
    }
    try:
        for name, text in files.items():
            write_atomically(out / name, text.encode(errors="replace"))
    except OSError as error:
        raise StoreError(
            f"the report cannot be written to {out}: {error.strerror}", "name a folder that can be with --out DIR"
        ) from error
    return [out / name for name in files]


def _show(content: Contents) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    lines = 0
    for index, section in enumerate(content.sections):
        lines += len(section.table.batches) + LINES_BESIDE_ROWS
        if lines > MOST_LINES_OF_TABLES and index:
            console.print(f"and {len(content.sections) - index} tables more: see the report's files")
            break
        console.print(terminal.render(section.table))
        console.print()
    _show_remarks(content)


def _show_remarks(content: Contents) -> None:
    failed = [terminal.failed_in_words(run) for run in content.failed]
    skipped = [f"skipped: {each.path}: {each.reason}" for each in content.skipped]
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for lines in (failed, skipped):
        for line in lines[:MOST_LINES_SHOWN]:
            console.print(line, style="yellow", markup=False)
        if len(lines) > MOST_LINES_SHOWN:
            console.print(f"and {len(lines) - MOST_LINES_SHOWN} more", style="yellow")


if __name__ == "__main__":
    gc.disable()  # all results stay in use; collecting garbage among thousands of them takes a third of the time
    sys.exit(main())
