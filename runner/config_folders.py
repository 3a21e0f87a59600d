"""Folders of configurations that are not the runner's own: what Hydra gets to see of them.

A file of YAML may be a stranger's. Hydra would let it set any node of the configuration, its own included, where the
classes of callbacks and of log handlers are named and called before the runner is. So a folder that a user adds shows
the runner's five groups only, and a file in one of them sets its own group and no more.
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

from runner.errors import ConfigError
from runner.options import CONF, GROUPS

LARGEST_BYTES = 1 << 20
MOST_NODES = 100_000
"""Of a file with its aliases written out: a few lines of them can stand for billions."""
_NAME = re.compile(r"\w[\w.+-]{0,99}|[\w-]*\$\{library:[\w.,-]*\$\{[\w.]+\},name\}")
_OTHER_GROUP = re.compile(r"(?:optional )?override /(?P<group>dataset|soc|batch)@_global_\.(?P=group)")
"""What a file may choose besides itself."""
_TOOL = re.compile(r"(?:optional )?override /tool@_global_\.tool")
"""That too, as a SoC brings its tool, but only one of the runner's own: a tool names a program to run."""


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's source of files, of which it takes the place and therefore the name."""

    def is_group(self, config_path: str) -> bool:
        """Whether it is a folder that configurations may come from."""
        return (config_path == "" or self._is_open(config_path)) and super().is_group(config_path)

    def is_config(self, config_path: str) -> bool:
        """Whether it is a file that a configuration may come from."""
        return self._is_open(config_path) and super().is_config(config_path)

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file.

        Raises:
            ConfigError: a file of an added folder reaches beyond its group, or is too large to be meant.
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
    """Let Hydra read files through `FileConfigSource`, in this process and in those of its launchers."""
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
    """How many nodes a tree has in which each alias stands for a copy."""
    if id(node) not in counted:
        counted[id(node)] = MOST_NODES  # an alias within itself
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        flat = [one for part in parts for one in (part if isinstance(part, tuple) else (part,))]
        counted[id(node)] = 1 + sum(_count(one, counted) for one in flat)
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
    """The entries of the defaults list that are neither files beside it nor options of other groups."""
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
