"""What msit's ais_bench uses of pkg_resources, which setuptools had before 82."""

from types import SimpleNamespace


def get_distribution(name: str) -> SimpleNamespace:
    return SimpleNamespace(project_name=name, version="0.0.2")
