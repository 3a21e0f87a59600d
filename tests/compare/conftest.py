"""Fixtures of results made by hand."""

from tests.results.by_hand import write_result

__all__ = ("write_result",)
