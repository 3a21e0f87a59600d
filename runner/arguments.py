"""Command lines that end in a typed error, and not in argparse's own exit code 2, which is that of a failed gate."""

from __future__ import annotations

import argparse
from typing import NoReturn

from runner.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """One that raises ConfigError."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise ConfigError(message, f"see {self.prog} --help")
