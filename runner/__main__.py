"""The command line: print the help page or run the Hydra application."""

from __future__ import annotations

import gc
import sys

from runner import cli
from runner import help as help_page


def main() -> int:
    """Run the command line; return the exit code: 0 done, 1 an error, 2 a gate failed."""
    if help_page.is_asked_for(sys.argv[1:]):
        return cli.exit_code_of(lambda: print(help_page.page(sys.argv[1:]), end=""))
    gc.disable()  # until a job runs: starting makes many objects and hardly any garbage
    from runner.pipeline import app  # imports Hydra, which takes longer than printing the page

    return app.main()


if __name__ == "__main__":
    sys.exit(main())
