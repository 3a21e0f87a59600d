"""Restrictions on configuration files from folders other than the runner's own.

YAML files may come from an untrusted folder. Hydra would let them set any node of the configuration, including
`hydra`, whose callbacks and log handlers are instantiated before the runner starts. So only the five config groups of
an added folder are visible, and a file in one of them can set only its own group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from runner.config.groups import CONF, GROUPS
from runner.core import ConfigError

LARGEST_BYTES = 1 << 20
MOST_NODES = 100_000
"""Limit of a file with its aliases expanded: a few lines of aliases can expand to billions of nodes."""
_NAME = re.compile(r"\w[\w.+-]{0,99}|[\w-]*\$\{library:[\w.,-]*\$\{[\w.]+\},name\}")
_OTHER_GROUP = re.compile(r"(?:optional )?override /(?P<group>dataset|soc|batch)@_global_\.(?P=group)")
"""Other groups whose option a file may choose in its defaults list."""
_TOOL = re.compile(r"(?:optional )?override /tool@_global_\.tool")
"""A SoC may choose its tool, but only one of the runner's own, since a tool names a program to run."""


class FileConfigSource(file_config_source.FileConfigSource):
    """A replacement for Hydra's config source of the same name."""

    def is_group(self, config_path: str) -> bool:
        """Return whether it is an existing folder that may be read."""
        return (config_path == "" or self._is_open(config_path)) and super().is_group(config_path)

    def is_config(self, config_path: str) -> bool:
        """Return whether it is an existing file that may be read."""
        return self._is_open(config_path) and super().is_config(config_path)

    def load_config(self, config_path: str) -> ConfigResult:
        """Load a file.

        Raises:
            ConfigError: a file of an added folder sets more than its own group, or is too large.
        """
        if self._is_own():
            return super().load_config(config_path)
        path = Path(self.path, self._normalize_file_name(config_path))
        _check_size(path)
        try:
            result = super().load_config(config_path)
        except (AssertionError, LookupError, TypeError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise _no_yaml(path, error) from error
        _check_reach(result, path)
        return result

    def _is_own(self) -> bool:
        return Path(self.path).resolve() == CONF.resolve()

    def _is_open(self, config_path: str) -> bool:
        place = PurePosixPath(config_path)
        if place.is_absolute() or ".." in place.parts:
            return False
        return self._is_own() or place.parts[:1] in [(group,) for group in GROUPS]


def register() -> None:
    """Make Hydra load files with `FileConfigSource`, in this process and in those of its launchers."""
    SourcesRegistry.instance().types[FileConfigSource.scheme()] = FileConfigSource


def _check_size(path: Path) -> None:
    if path.stat().st_size > LARGEST_BYTES:
        raise ConfigError(f"{path} has more than {LARGEST_BYTES >> 20} MiB", "no configuration is so large")
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise _no_yaml(path, error) from error
    if root is not None and _count(root, {}) > MOST_NODES:
        raise ConfigError(f"{path} holds more than {MOST_NODES} values once its aliases are written out", "use fewer")


def _count(node: yaml.Node, counted: dict[int, int]) -> int:
    """Return the number of nodes of a tree with every alias expanded."""
    if id(node) not in counted:
        counted[id(node)] = MOST_NODES  # an alias within itself
        entries = node.value if isinstance(node, yaml.CollectionNode) else ()
        children = [child for entry in entries for child in (entry if isinstance(entry, tuple) else (entry,))]
        counted[id(node)] = 1 + sum(_count(child, counted) for child in children)
    return counted[id(node)]


def _check_reach(result: ConfigResult, path: Path) -> None:
    package = result.header["package"]
    if package not in (None, "_group_"):
        raise _reaches_out(path, f"its first lines place it at {package}", "take the `# @package` line out")
    content = OmegaConf.to_container(result.config)
    name = content.get("name", "x") if isinstance(content, dict) else "x"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _reaches_out(
            path,
            f"its name is {name!r}, and folders are named by it",
            "name it with letters, digits, dots, dashes and underscores, or as ${library:...} has it",
        )
    for entry in _beyond(content):
        raise _reaches_out(
            path,
            f"its defaults name {entry}",
            "name files beside it, or as `override /dataset@_global_.dataset: NAME`; the rest is chosen by the user",
        )


def _beyond(content: Any) -> Iterator[str]:
    """Yield the entries of the defaults list that are not allowed: neither siblings nor options of other groups."""
    defaults = content.get("defaults") if isinstance(content, dict) else None
    for entry in defaults if isinstance(defaults, list) else ():
        if isinstance(entry, dict):
            yield from (f"{key}: {value}" for key, value in entry.items() if not _may_choose(str(key), value))
        elif re.search(r"[@/]|\.\.", str(entry)):
            yield str(entry)


def _may_choose(key: str, value: Any) -> bool:
    if _TOOL.fullmatch(key):
        return isinstance(value, str) and value in {path.stem for path in (CONF / "tool").glob("*.yaml")}
    return _OTHER_GROUP.fullmatch(key) is not None


def _no_yaml(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path} is no YAML that can be used: {' '.join(str(error).split())}", "correct the file")


def _reaches_out(path: Path, how: str, fix: str) -> ConfigError:
    return ConfigError(f"{path} reaches beyond its own group: {how}", fix)
