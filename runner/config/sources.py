"""Restrictions on configuration files from folders other than the runner's own.

YAML files may come from an untrusted folder. Hydra would let them set any node of the configuration, including
`hydra`, whose callbacks and log handlers are instantiated before the runner starts. So only the five config groups of
an added folder are visible, and a file in one of them can set only its own group.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config import groups, options, references, yaml_files
from runner.config.groups import CONF, GROUPS
from runner.config.schema import BASE, NAME, TO_NAME
from runner.core import ConfigError

PROGRAMS = ("program", "python", "script", "environment_script")
"""Keys of a tool that name what it runs."""
PLACES_OF_ATC = (
    *("build_config", "cluster_config", "compress_weight_conf", "compression_optimize_conf", "customize_dtypes"),
    *("debug_dir", "fusion_switch_file", "hccl_sub_comm_config", "insert_op_conf", "keep_dtype", "mdl_bank_path"),
    *("modify_mixlist", "op_bank_path", "op_compiler_cache_dir", "op_debug_config", "op_name_map"),
    *("op_precision_mode", "raw_ge_options"),
)
"""Keys of model.atc that name a file or folder, which atc reads or writes, or hold any options of its engine."""
_SIBLING = re.compile(r"[\w.+-]+")
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
            result = super().load_config(config_path)
            _open_over_base(result.config)
            return result
        path = Path(self.path, self._normalize_file_name(config_path))
        text = yaml_files.text_of(path)
        try:
            header = self._get_header_dict(text)
            content = OmegaConf.load(io.StringIO(text))
        except (AssertionError, LookupError, OmegaConfBaseException, *yaml_files.UNUSABLE) as error:
            raise yaml_files.not_yaml(path, error) from error
        _check_reach(path, header["package"], content)
        _open_over_base(content)
        return ConfigResult(
            config=content, path=f"{self.scheme()}://{self.path}", provider=self.provider, header=header
        )

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


def _open_over_base(content: Any) -> None:
    """Let any key be given beside the `_base_` of a decoder: which ones it takes is not known before that is resolved.

    They are checked against the decoder's signature later, as all of its arguments are.
    """
    decode = content._get_node("decode") if isinstance(content, DictConfig) else None
    if isinstance(decode, DictConfig) and BASE in decode:
        OmegaConf.set_struct(decode, False)


def _check_reach(path: Path, package: str | None, config: Any) -> None:
    if package not in (None, "_group_"):
        raise _reaches_out(path, f"its first lines place it at {package}", "take the `# @package` line out")
    content = OmegaConf.to_container(config)
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is no mapping of keys to values", "correct the file")
    name = content.get("name", "x")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _reaches_out(path, f"its name is {name!r}, and folders are named by it", TO_NAME)
    options.check_inheritance(path)
    for entry in _beyond(content):
        raise _reaches_out(
            path,
            f"its defaults name {entry}",
            "name files beside it, or as `override /dataset@_global_.dataset: NAME`; the rest is chosen by the user",
        )
    for key, text, why in references.beyond(content, path.parent.name):
        raise _reaches_out(path, f"{key} is {text!r}, and {why}", "write the value itself")
    for key in _places_of_atc(content) if path.parent.name == "model" else ():
        raise _reaches_out(
            path, f"it sets atc.{key}, which names files", f"leave it out; the user may type model.atc.{key}=PATH"
        )
    for key, value in _relative_programs(content) if path.parent.name == "tool" else ():
        raise _reaches_out(
            path,
            f"{key} is {value!r}, which is looked for in the folder where the user works",
            f"give a full path, or a name on the PATH; the user may type tool.{key}=PATH",
        )


def _beyond(content: dict[Any, Any]) -> Iterator[str]:
    """Yield the entries of the defaults list that are not allowed: neither siblings nor options of other groups."""
    for entry in content.get("defaults", []):
        if isinstance(entry, dict):
            yield from (f"{key}: {value}" for key, value in entry.items() if not _may_choose(str(key), value))
        elif not _SIBLING.fullmatch(entry) or ".." in entry:
            yield entry


def _may_choose(key: str, value: Any) -> bool:
    if _TOOL.fullmatch(key):
        return isinstance(value, str) and value in groups.files("tool")
    return _OTHER_GROUP.fullmatch(key) is not None


def _places_of_atc(content: dict[Any, Any]) -> list[str]:
    flags = content.get("atc")
    return [key for key in PLACES_OF_ATC if isinstance(flags, dict) and key in flags]


def _relative_programs(node: Any) -> Iterator[tuple[str, str]]:
    """Yield the programs at any depth of a tool that are paths in the working folder."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        if key in PROGRAMS and isinstance(value, str) and "/" in value and not value.startswith(("/", "~/")):
            yield str(key), value
        yield from _relative_programs(value)


def _reaches_out(path: Path, how: str, fix: str) -> ConfigError:
    return ConfigError(f"{path} reaches beyond its own group: {how}", fix)
