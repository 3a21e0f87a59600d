"""The structure of runner/: which package may import which, and what is private to it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNNER = ROOT / "runner"
MOST_FLAT = 6
WITHOUT_FACE = {"config", "stages", "pipeline"}
"""Wings that hand nothing on: the modules in them are their public names."""


@dataclass(frozen=True)
class Import:
    """`from module import name`, or `import module` without a name, in a file of the package `package`."""

    file: Path
    line: int
    package: str
    module: str
    name: str | None

    def __str__(self) -> str:
        imported = f"from {self.module} import {self.name}" if self.name else f"import {self.module}"
        return f"{self.file.relative_to(ROOT)}:{self.line}: {imported}"


def wing_of(module: str) -> str:
    """As in "core" for runner.core.errors."""
    return module.split(".")[1] if "." in module else ""


def is_module(dotted: str) -> bool:
    path = ROOT.joinpath(*dotted.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@cache
def imports() -> tuple[Import, ...]:
    """Every import of something of the runner, in runner/ and zoo/."""
    return tuple(
        found for top in ("runner", "zoo") for file in sorted((ROOT / top).rglob("*.py")) for found in of(file)
    )


def of(file: Path) -> Iterator[Import]:
    package = ".".join(file.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports by a relative name"
            found = [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found = [(alias.name, None) for alias in node.names]
        else:
            continue
        for module, name in found:
            if module.partition(".")[0] == "runner":
                yield Import(file, node.lineno, package, module, name)


@cache
def handed_on_by(package: str) -> frozenset[str]:
    """The names that a package's `__init__` imports from its modules."""
    return frozenset(found.name for found in of(ROOT.joinpath(*package.split("."), "__init__.py")) if found.name)


def test_imports_go_one_way() -> None:
    command = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: 1 kept, 0 broken." in done.stdout


def test_few_files_lie_outside_the_packages() -> None:
    flat = sorted(path.name for path in RUNNER.glob("*.py"))
    assert len(flat) <= MOST_FLAT, flat


def test_private_modules_and_names_are_imported_in_their_own_package_only() -> None:
    outside = []
    for found in imports():
        parts = [*found.module.split("."), *([found.name] if found.name else [])]
        private = next((index for index, part in enumerate(parts) if part.startswith("_") and part != "__main__"), None)
        if private is not None and ".".join(parts[:private]) != found.package:
            outside.append(str(found))
    assert outside == []


def test_what_a_wing_hands_on_is_imported_from_its_face() -> None:
    past_it = []
    for found in imports():
        wing = wing_of(found.module)
        face = f"runner.{wing}"
        if not (RUNNER / wing / "__init__.py").is_file() or wing == wing_of(found.package) or found.module == face:
            continue
        if found.name in handed_on_by(face):
            past_it.append(str(found))
    assert past_it == []


def test_a_name_of_a_module_is_not_imported_from_a_face_that_does_not_hand_it_on() -> None:
    strange = []
    for found in imports():
        package = ROOT.joinpath(*found.module.split("."))
        if found.name is None or not package.is_dir():
            continue
        known = found.name in handed_on_by(found.module) or is_module(f"{found.module}.{found.name}")
        if not known:
            strange.append(str(found))
    assert strange == []


def test_wings_without_a_face_hand_nothing_on() -> None:
    assert {wing: sorted(handed_on_by(f"runner.{wing}")) for wing in WITHOUT_FACE} == {
        wing: [] for wing in WITHOUT_FACE
    }


def test_every_name_that_a_face_hands_on_is_of_its_own_wing() -> None:
    faces = [path for path in RUNNER.rglob("__init__.py") if path.parent != RUNNER]
    foreign = [
        str(found) for face in faces for found in of(face) if not f"{found.module}.".startswith(f"{found.package}.")
    ]
    assert foreign == []
