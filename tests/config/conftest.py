from __future__ import annotations

from collections.abc import Iterator

import pytest

from runner.config import permissions


@pytest.fixture(autouse=True)
def nothing_allowed() -> Iterator[None]:
    """Allow no package of the user's before and after each test."""
    permissions.allow([])
    yield
    permissions.allow([])
