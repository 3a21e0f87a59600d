from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.core import process, process_tree


@pytest.fixture
def quick_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Log programs below the test's folder, and kill those that ignore SIGTERM soon."""
    monkeypatch.setattr(process_tree, "GRACE_SECONDS", 0.5)
    with process.logging_to(tmp_path / "logs"):
        yield
