"""The licences of everything that the package and its extras bring along, as the installed packages state them."""

import importlib.metadata
import re
from contextlib import suppress
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PERMISSIVE = {
    "0BSD", "Apache 2.0", "Apache Software License", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD",
    "BSD 2-Clause License", "BSD 3-Clause License", "BSD License", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "FreeBSD", "3-Clause BSD License", "ISC", "MIT", "MIT License", "MIT-0", "MIT-CMU", "PSF-2.0", "Python-2.0",
    "Unlicense", "Zlib",
}  # fmt: skip
BY_FILE = {"MPL-2.0", "MPL 2.0", "Mozilla Public License 2.0 (MPL 2.0)"}
"""Copyleft that ends with each of its own files, and so allows an Apache-2.0 program beside them."""
FOREIGN = {
    # asked for by name; none is part of what this project distributes
    "ale-py": ("GPL-2.0-only", "the emulator of Breakout; dataset=atari alone imports it"),
    "yamllint": ("GPL-3.0-or-later", "a program of the test extra; nothing imports it"),
    # brought along by PyTorch's wheels for Linux; those for CPUs alone come without
    "cuda-toolkit": ("", "names the packages below, and holds nothing"),
    "nvidia": ("NVIDIA", "CUDA's libraries, under NVIDIA's own terms"),
}
"""Packages under other licences, by name or the beginning of it: what the licence says, and why it is allowed."""


def brought_along() -> dict[str, importlib.metadata.Distribution]:
    """Every installed distribution that the package or one of its extras asks for, by its canonical name."""
    package = importlib.metadata.distribution("model-zoo-runner")
    waiting = [(package, extra) for extra in ["", *(package.metadata.get_all("Provides-Extra") or [])]]
    found: dict[str, importlib.metadata.Distribution] = {}
    seen = set()
    while waiting:
        distribution, extra = waiting.pop()
        for requirement in map(Requirement, distribution.requires or []):
            name = canonicalize_name(requirement.name)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
                continue
            with suppress(importlib.metadata.PackageNotFoundError):  # of an extra that is not installed here
                found[name] = importlib.metadata.distribution(name)
                new = {(name, wanted) for wanted in ("", *requirement.extras)} - seen
                waiting += [(found[name], wanted) for _, wanted in new]
                seen |= new
    return found


def licences_of(metadata: importlib.metadata.PackageMetadata) -> set[str]:
    """The licences that a distribution names: its SPDX expression, else its classifiers, else its own words."""
    expression = metadata.get("License-Expression")
    if expression:
        return set(re.split(" AND | OR ", re.sub("[()]", "", expression)))
    lines = metadata.get_all("Classifier") or []
    classified = {line.rpartition(" :: ")[2] for line in lines if line.startswith("License ::")}
    return classified or set((metadata.get("License") or "").partition("\n")[0].split(" AND ")) - {""}


def reason_to_refuse(name: str, licences: set[str]) -> str:
    """Why a package may not be asked for; empty if it may."""
    known = FOREIGN.get(name) or FOREIGN.get(name.partition("-")[0])
    if known is not None:
        return "" if all(known[0] in licence for licence in licences) else f"{name}: {licences}, not {known[0]}"
    others = licences - PERMISSIVE - BY_FILE
    return f"{name}: {others or 'names no licence'}" if others or not licences else ""


def modules_that_name(package: str) -> set[str]:
    """The modules of this project that name a package as an import does."""
    found = (path for folder in ("runner", "zoo") for path in (ROOT / folder).rglob("*.py"))
    return {
        str(path.relative_to(ROOT)) for path in found if re.search(rf"\b(import|from) {package}\b", path.read_text())
    }


@pytest.mark.parametrize(("name", "distribution"), sorted(brought_along().items()), ids=lambda value: str(value)[:40])
def test_a_dependency_is_under_a_licence_that_goes_with_apache_2(name: str, distribution) -> None:
    assert reason_to_refuse(name, licences_of(distribution.metadata)) == ""


def test_the_dependencies_of_dependencies_are_looked_at() -> None:
    assert {"torch", "sympy", "mpmath", "pytest"} <= set(brought_along())


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "AGPL-3.0-or-later", "SSPL-1.0", "Proprietary"])
def test_another_licence_is_refused(licence: str) -> None:
    assert licence in reason_to_refuse("some-package", {"MIT", licence})


def test_a_package_that_names_no_licence_is_refused() -> None:
    assert "names no licence" in reason_to_refuse("some-package", set())


def test_a_foreign_package_whose_licence_changes_is_looked_at_again() -> None:
    assert "GPL-2.0-only" in reason_to_refuse("ale-py", {"GPL-3.0-only"})


@pytest.mark.parametrize(
    ("fields", "licences"),
    [
        ({"License-Expression": "MIT AND (Apache-2.0 OR BSD-2-Clause)"}, {"MIT", "Apache-2.0", "BSD-2-Clause"}),
        ({"Classifier": "License :: OSI Approved :: MIT License", "License": "see LICENSE"}, {"MIT License"}),
        ({"Classifier": "Topic :: Software", "License": "MPL-2.0 AND MIT"}, {"MPL-2.0", "MIT"}),
        ({}, set()),
    ],
)
def test_licences_are_read_from_what_each_package_states(fields: dict[str, str], licences: set[str]) -> None:
    metadata = Message()
    for name, value in fields.items():
        metadata[name] = value
    assert licences_of(metadata) == licences


def test_foreign_packages_are_imported_only_where_it_is_said() -> None:
    assert modules_that_name("ale_py") == {"runner/tasks/control/atari.py"}
    assert modules_that_name("yamllint") == set()
