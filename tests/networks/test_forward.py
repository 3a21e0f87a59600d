"""What SECURITY.md says of the libraries whose networks a stranger may name: none does harm in its forward."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.config.permissions import NETWORKS

HARMFUL = re.compile(
    r"\b(?:open|exec|system|popen|Popen|urlopen|urlretrieve|load_url|load_state_dict_from_url|download_url_to_file|"
    r"torch\.load|torch\.save|import_module|__import__|mkdir|unlink|rmtree|socket)\(|\bsubprocess\.|\beval\([^)]"
)
"""Calls that open a file or a connection, or run something; `eval()` without arguments is a network's own."""


def harmful(source: str) -> Iterator[str]:
    """Yield the methods beside the constructor, of classes with a forward, that make such a call."""
    if "def forward(" not in source or not HARMFUL.search(source):  # parsing takes seconds
        return
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    for each in classes:
        methods = [part for part in each.body if isinstance(part, ast.FunctionDef)]
        if "forward" in [method.name for method in methods]:
            for method in methods:
                if method.name != "__init__" and HARMFUL.search(ast.unparse(method)):
                    yield f"{each.name}.{method.name}"


def test_a_call_is_seen() -> None:
    assert list(harmful("class A:\n def forward(self): return open('x')\n def __init__(self): exec('')\n")) == [
        "A.forward"
    ]
    assert list(harmful("class A:\n def forward(self): return self.body.eval()\n")) == []


@pytest.mark.parametrize("package", NETWORKS)
def test_no_network_of_a_library_opens_or_starts_anything_in_its_forward(package: str) -> None:
    spec = importlib.util.find_spec(package)
    (folder,) = spec.submodule_search_locations
    sources = [path.read_text(encoding="utf-8") for path in Path(folder).rglob("*.py")]
    assert [name for source in sources for name in harmful(source)] == []
