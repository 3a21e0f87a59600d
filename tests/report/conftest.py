"""Fixtures of results made by hand."""

from tests.results.by_hand import make_gate, result_content, write_result

__all__ = ("make_gate", "result_content", "write_result")
