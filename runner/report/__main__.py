"""`python -m runner.report [DIR ...]`: the results below folders as tables, a page, Markdown and CSV."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from runner import cli, results
from runner.config import groups
from runner.core import StoreError, write_atomically
from runner.core.terminal import Console
from runner.report import contents, csv_file, html_page, junit, markdown, previews, terminal
from runner.report.contents import Contents
from runner.results import Found, published

MOST_LINES_OF_TABLES = 120
"""Limit for the terminal; the files hold all tables."""
LINES_BESIDE_ROWS = 8
"""About how many lines a table's title, heading, rules and footnotes take."""
PIPED_WIDTH = 200
"""Characters per line if the output is not a terminal."""
MOST_SHOWN = 20
"""How many failed runs, sweeps, and skipped files are listed in the terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print and write the report; return 0, or 1 if there are no results or the report cannot be written."""
    return cli.exit_code_of(lambda: _print_and_write(_parser().parse_intermixed_args(arguments)))


def _print_and_write(options: argparse.Namespace) -> int:
    folders: list[Path] = options.folders or [Path("outputs")]
    own = groups.config_folder([options.config_dir]) if options.config_dir is not None else None
    content = _contents(folders, options.model, own)
    _show_problems(content)
    if not content.results:
        return _nothing_found(folders, options.model)
    if options.table:
        print("\n".join(markdown.one_table(content.shown)))
        return 0
    return _report(content, options.out or _folder_of(folders), options.junit)


def _parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="python -m runner.report",
        description="Tables of the results below folders, in the terminal and as report.md, report.csv, report.html.",
    )
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR", help="where result.json files lie [outputs]")
    parser.add_argument("--model", metavar="NAME", help="report the results of this model alone")
    parser.add_argument(
        "--table", action="store_true", help="print one Markdown table of the newest results, as for a README, and end"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write the report [the first DIR]")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the gates as JUnit XML too")
    parser.add_argument(
        *groups.CONFIG_DIR_FLAGS, metavar="DIR", help="a zoo of yours: its published figures as they are now"
    )
    return parser


def _folder_of(folders: Sequence[Path]) -> Path:
    """Return the first folder that exists; for a file, its folder."""
    path = next((path for path in folders if path.exists()), folders[0])
    return path.parent if path.is_file() else path


def _contents(folders: Sequence[Path], model: str | None, config_dir: Path | None) -> Contents:
    found = results.find(folders)
    if model is not None:
        chosen = tuple(result for result in found.results if result.model == model)
        found = Found(chosen, found.skipped)  # a sweep's jobs may be of several models
    return contents.gather(found, published.of_results(found.results, config_dir))


def _nothing_found(folders: Sequence[Path], model: str | None) -> int:
    print(
        f"error: no results{f' of {model}' if model else ''} below {', '.join(map(str, folders))}\n"
        "    fix: run a model first, as in `python -m runner model=dqn weights=random`, or name the folder that"
        " holds the runs: python -m runner.report DIR",
        file=sys.stderr,
    )
    return 1


def _report(content: Contents, out: Path, junit_file: Path | None) -> int:
    written = _write(content, out)
    if junit_file:
        runs = [*content.shown, *results.failed(content.results)]
        junit.write(junit_file, "runner.report", junit.cases(runs, content.sweeps))
    _show_tables(content)
    print(f"{content.overview}\nreport: {', '.join(map(str, written))}")
    return 0


def _write(content: Contents, out: Path) -> list[Path]:
    files = {
        "report.md": markdown.page(content),
        "report.csv": csv_file.text(content),
        "report.html": html_page.page(content, previews.of_runs(content.shown), out.resolve()),
    }
    try:
        for name, text in files.items():
            write_atomically(out / name, text.encode(errors="replace"))
    except OSError as error:
        raise StoreError(
            f"the report cannot be written to {out}: {error.strerror}", "name a folder that can be with --out DIR"
        ) from error
    return [out / name for name in files]


def _show_tables(content: Contents) -> None:
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    lines = 0
    for index, section in enumerate(content.sections):
        lines += len(section.table.batches) + LINES_BESIDE_ROWS
        if lines > MOST_LINES_OF_TABLES and index:
            console.print(f"and {len(content.sections) - index} tables more: see the report's files")
            break
        console.print(terminal.render(section.table))
        console.print()


def _show_problems(content: Contents) -> None:
    """Show failed runs, sweeps with jobs that are not done, and skipped files, on standard error."""
    rendered: tuple[Iterator[RenderableType], ...] = (
        map(terminal.render_failed, content.failed),
        map(terminal.render_sweep, content.sweeps),
        (Text(f"skipped: {each.path}: {each.reason}", style="yellow") for each in content.skipped),
    )
    console = Console(stderr=True, soft_wrap=True)
    for problems in rendered:
        for problem in islice(problems, MOST_SHOWN):
            console.print(problem)
        more = sum(1 for _ in problems)
        if more:
            console.print(f"and {more} more: see the report's files", style="yellow")


if __name__ == "__main__":
    gc.disable()  # all results stay in use; collecting garbage among thousands of them takes a third of the time
    sys.exit(main())
