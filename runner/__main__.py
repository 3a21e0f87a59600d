"""The command line: a run, or what is printed or started without composing one."""

from __future__ import annotations

import gc
import runpy
import sys
from collections.abc import Sequence

from runner import cli
from runner import help as help_page


def main() -> int:
    """Run the command line; return the exit code: 0 done, 1 an error, 2 a gate failed."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in help_page.COMMANDS:
        return _command(arguments[0], arguments[1:])
    if help_page.is_asked_for(arguments):
        return cli.exit_code_of(lambda: print(help_page.page(arguments), end=""))
    if "--version" in arguments:
        return cli.exit_code_of(_print_version)
    if "--completion" in arguments:
        return cli.exit_code_of(lambda: _print_completion(arguments))
    return _run()


def _run() -> int:
    gc.disable()  # until a job runs: starting makes many objects and hardly any garbage
    from runner.pipeline import app  # imports Hydra, which takes longer than printing the page

    try:
        return cli.exit_code_of(app.main)
    finally:
        if "triton" in sys.modules:  # comes with PyTorch for GPUs, and reports as leaked what is not freed at exit
            gc.unfreeze()


def _command(name: str, arguments: Sequence[str]) -> int:
    """Run `python -m runner.NAME ARGUMENTS` in this process."""
    sys.argv = [f"runner.{name}", *arguments]
    runpy.run_module(f"runner.{name}", run_name="__main__", alter_sys=True)
    return 0  # a command ends by SystemExit


def _print_version() -> None:
    from importlib.metadata import version

    print(f"model-zoo-runner {version('model-zoo-runner')}")


def _print_completion(arguments: Sequence[str]) -> None:
    from runner import completion

    print(completion.script(arguments), end="")


if __name__ == "__main__":
    sys.exit(main())
