"""Fixtures of results made by hand."""

from tests.results.by_hand import result_content, write_result

__all__ = ("result_content", "write_result")
