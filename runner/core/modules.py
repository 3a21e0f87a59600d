"""Module lookup without importing, and digests of module sources."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

LIBRARIES = ("timm", "torchvision", "torch")
"""Top-level packages that are identified by their version instead of their source."""
OWN_PACKAGE = __name__.partition(".")[0]
_LAZY = f"{OWN_PACKAGE}.core.lazy"

Sources = dict[str, bytes]


def module_path(module_name: str) -> Path | None:
    """Return the source file of a module without importing it; None if there is none."""
    top, *rest = module_name.split(".")
    location = _location(top)
    if location is None:
        return None
    origin, folders = location
    if not rest:
        return origin
    for folder in folders:
        stem = folder.joinpath(*rest)
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None


def source_digest(name: str, counted: tuple[str, ...] = ()) -> str:
    """Return a hash of the source of the module (or that defines the name) and of its imports from its own package.

    Nothing is imported. Of this package, only modules in the packages `counted` are included; names re-exported by a
    package's `__init__` are traced to the modules that define them. For LIBRARIES the digest is the version.
    """
    top = name.split(".")[0]
    if top in LIBRARIES:
        return f"{top} {importlib.metadata.version(top)}"
    digest = hashlib.sha256()
    for module, source in sorted(sources(name, counted).items()):
        digest.update(f"{module}\0{hashlib.sha256(source).hexdigest()}\0".encode())
    return digest.hexdigest()


def libraries_of(name: str, counted: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return which of LIBRARIES are imported by the source that `source_digest` hashes."""
    if name.split(".")[0] in LIBRARIES:
        return ()
    libraries = (_libraries_in(module, source) for module, source in sources(name, counted).items())
    return tuple(sorted(frozenset().union(*libraries)))


def sources(name: str, counted: tuple[str, ...] = ()) -> Sources:
    """Return what `source_digest` hashes: the source of each module, by module name."""
    collected: Sources = {}
    pending = [_defining_module(name)]
    while pending:
        module = pending.pop()
        path = module_path(module)
        if module in collected or path is None or not _counts(module, counted):
            continue
        collected[module] = path.read_bytes()
        pending += _imported(module, path, collected[module])
    return collected


def is_in(name: str, packages: tuple[str, ...]) -> bool:
    """Return whether a dotted name is one of the packages or lies within one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _counts(module: str, counted: tuple[str, ...]) -> bool:
    return module.split(".")[0] != OWN_PACKAGE or is_in(module, counted)


def _location(top: str) -> tuple[Path | None, tuple[Path, ...]] | None:
    """Return a top-level module's own file and the folders of its submodules; None if it is not installed."""
    if top == OWN_PACKAGE:
        own = Path(__file__).parents[1]
        return own / "__init__.py", (own,)
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:
        return None
    if spec is None:
        return None
    origin = Path(spec.origin) if spec.origin is not None and spec.has_location else None
    return origin, tuple(map(Path, spec.submodule_search_locations or ()))


def _defining_module(name: str) -> str:
    """Return the module that a dotted name refers to, or that defines it."""
    if module_path(name) is not None:
        return name
    parent, _, attribute = name.rpartition(".")
    if not parent:
        return name
    return _origin(parent, attribute)


def _origin(module: str, attribute: str) -> str:
    """Return the module that defines an attribute, following re-exports in this package's `__init__` files."""
    path = module_path(module)
    if path is None or path.name != "__init__.py" or module.split(".")[0] != OWN_PACKAGE:
        return module
    for base, names in _import_statements(module, path, path.read_bytes()):
        if attribute in names:
            return _defining_module(f"{base}.{attribute}")
    return module


@cache  # stages share most of their modules
def _imported(module: str, path: Path, source: bytes) -> tuple[str, ...]:
    """Return the modules of its own top-level package that a module imports: those that define the names, not faces."""
    top = module.split(".")[0]
    names: list[str] = []
    for base, attributes in _import_statements(module, path, source):
        if base.split(".")[0] == top:
            names += [base] if not attributes or top != OWN_PACKAGE else []
            names += [_defining_module(f"{base}.{attribute}") for attribute in attributes]
    return tuple(names)


@cache
def _import_statements(module: str, path: Path, source: bytes) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return every import of a module: the imported module and the names taken from it, if any."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    statements: list[tuple[str, tuple[str, ...]]] = []
    for node in _statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            statements += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            statements.append((base, tuple(alias.name for alias in node.names)))
    return tuple(statements)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a syntax tree's statements at any depth; walking its expressions too takes several times as long."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, field, ()):
            yield child
            yield from _statements(child)


def _libraries_in(module: str, source: bytes) -> frozenset[str]:
    names: set[str] = set()
    for base, imported in _import_statements(module, module_path(module) or Path(), source):
        names |= set(imported) if base == _LAZY else {base.split(".")[0]}
    return frozenset(names) & frozenset(LIBRARIES)
