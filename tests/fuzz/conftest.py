"""How much is tried: a little that is the same each time, or with --fuzz-examples=N as many new cases a test."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings

QUIET = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large)


def pytest_configure(config: pytest.Config) -> None:
    examples = config.getoption("--fuzz-examples")
    settings.register_profile("short", derandomize=True, database=None, deadline=None, suppress_health_check=QUIET)
    settings.register_profile(
        "long",
        max_examples=examples or 1,
        database=None,
        deadline=None,
        suppress_health_check=QUIET,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        print_blob=True,
    )
    settings.load_profile("long" if examples else "short")
    config.stash[EXAMPLES] = examples


EXAMPLES = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the flag win over the number that a test names for the short run."""
    for item in items:
        function = getattr(item, "obj", None)
        if config.stash[EXAMPLES] and hasattr(function, "_hypothesis_internal_use_settings"):
            function._hypothesis_internal_use_settings = settings.get_profile("long")
