"""Fixtures of the network of free sizes."""

from tests.stages.free_sizes import any_size, export_any_size

__all__ = ("any_size", "export_any_size")
