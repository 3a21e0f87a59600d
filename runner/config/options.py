"""The options of each config group, in conf/ and in a user's own folder, read without composing them."""

from __future__ import annotations

import filecmp
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import MissingConfigException
from omegaconf import DictConfig

from runner.config import groups, yaml_files
from runner.config.groups import CONF, GROUPS, LISTED
from runner.core import ConfigError, did_you_mean

MOST_LISTED = 20
"""The maximum number of options that an error lists in full."""
MOST_INHERITED = 100
"""The maximum number of files that an option's defaults lead to, each counted as often as it is named."""
_SELF = "_self_"


def read(path: Path) -> dict[str, Any]:
    """Return the content of an option's file, merged with its defaults from the same group; interpolations unresolved.

    Its `defaults` are its own, then the choices of other groups' options that it inherits.

    Raises:
        ConfigError: it or one of its defaults cannot be read, or is not a mapping; or there are too many defaults.
    """
    contents: dict[Path, dict[str, Any]] = {}
    _count_inherited(path, contents, {})
    return _with_inherited(path, contents, {})


def check_inheritance(path: Path) -> None:
    """Check the defaults of an option's file and of the files that it inherits from.

    Raises:
        ConfigError: as `read`.
    """
    _count_inherited(path, {}, {})


def unknown(group: str, name: str, names: Sequence[str], where: str = "") -> ConfigError:
    """Return the error for an unknown option: the most similar options, and how to list all."""
    message = f"{where}there is no {group}={name}"
    if group == "batch":
        return ConfigError(message, "give a size of at least 1, as in batch=32")
    fix = did_you_mean(name, names)
    if len(names) <= MOST_LISTED:
        fix += f" choose from {', '.join(names)}"
    elif group in LISTED:
        fix += f" `python -m runner.list {group}` shows all {len(names)}"
    if group == "model" and "timm" in names:
        fix += "; any of timm's is model=timm model.arch=NAME"
    return ConfigError(message, fix.lstrip())


def missing(error: MissingConfigException) -> ConfigError | None:
    """Convert Hydra's error about an unknown option, adding similar names; None if it is another error."""
    file = error.missing_cfg_file or ""
    group, _, name = file.partition("/")
    if group not in groups.names():  # one of Hydra's own, which has slashes in its name
        group, _, name = file.rpartition("/")
    names = error.options or groups.ordered(groups.files(group))
    if not group or not names:
        return None
    place = re.match(r"In '([^']+)'", str(error))
    where = f"In '{place[1]}': " if place and place[1] not in ("config", "hydra/config") else ""
    return unknown(group, name, list(names), where)


def refuse_hidden(arguments: Iterable[str], config_dir: Path) -> None:
    """Check that no chosen option of the user's folder is hidden by one of the runner's own.

    Raises:
        ConfigError: one is, and its content differs.
    """
    for argument in arguments:
        group, equals, chosen = argument.lstrip("+").partition("=")
        if not equals or group not in GROUPS:
            continue
        for name in re.findall(r"[\w.-]+", chosen):
            theirs, ours = (folder / group / f"{name}.yaml" for folder in (config_dir, CONF))
            if theirs.is_file() and ours.is_file() and not filecmp.cmp(theirs, ours, shallow=False):
                raise ConfigError(
                    f"{argument}: {theirs} is hidden by the runner's own {group} {name}",
                    "give it another name, and choose that",
                )


def make_allowed_importable(config: DictConfig, config_dirs: Iterable[str]) -> None:
    """Call make_importable for each folder of the user's own if a configuration has `allow`.

    Without `allow` nothing of a folder is importable: libraries probe for many packages that are not installed, and
    could import one from an untrusted folder.
    """
    if config.get("allow"):
        for folder in config_dirs:
            make_importable(Path(folder))


def make_importable(config_dir: Path) -> None:
    """Append the folder's parent to sys.path, so that packages of hooks beside the folder can be imported."""
    beside = str(config_dir.absolute().parent)
    if beside not in sys.path:
        sys.path.append(beside)


def _count_inherited(path: Path, contents: dict[Path, dict[str, Any]], counted: dict[Path, int]) -> int:
    """Return how many files an option stands for, itself included; add what is read to `contents`."""
    if path in counted:
        return counted[path]
    if path in contents:
        raise ConfigError(f"{path} inherits from itself by its defaults", "take the name that leads back to it out")
    contents[path] = _mapping(path)
    counted[path] = 1 + sum(_count_inherited(parent, contents, counted) for parent in _parents(path, contents[path]))
    if counted[path] > MOST_INHERITED:
        raise ConfigError(f"the defaults of {path} lead to more than {MOST_INHERITED} files", "name fewer of them")
    return counted[path]


def _mapping(path: Path) -> dict[str, Any]:
    content = yaml_files.load(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is no mapping of keys to values", "correct the file")
    return content


def _parents(path: Path, content: Mapping[str, Any]) -> list[Path]:
    """Return the files of the same group that an option inherits from, in order."""
    named = [path.with_name(f"{entry}.yaml") for entry in _defaults(path, content) if isinstance(entry, str)]
    return [parent for parent in named if parent.is_file()]


def _defaults(path: Path, content: Mapping[str, Any]) -> list[Any]:
    """Return the entries of an option's defaults list: names of files, and mappings of one group to one option."""
    defaults = content.get("defaults", [])
    if not isinstance(defaults, list):
        raise ConfigError(f"{path}: its defaults are {defaults!r}, no list", "write them as a list of names")
    for entry in defaults:
        if not isinstance(entry, str) and not (isinstance(entry, dict) and len(entry) == 1):
            raise ConfigError(
                f"{path}: its defaults hold {entry!r}", "name files beside it, or options as in {override /GROUP: NAME}"
            )
    return [entry for entry in defaults if entry != _SELF]


def _with_inherited(
    path: Path, contents: Mapping[Path, dict[str, Any]], known: dict[Path, dict[str, Any]]
) -> dict[str, Any]:
    if path not in known:
        content = contents[path]
        merged: dict[str, Any] = {}
        overrides: list[Any] = []
        for parent in _parents(path, content):
            inherited = _with_inherited(parent, contents, known)
            merged = _merged(merged, {key: value for key, value in inherited.items() if key != "defaults"})
            overrides += [each for each in inherited.get("defaults") or () if isinstance(each, dict)]
        own = {**content, "defaults": [*content.get("defaults", []), *overrides]} if overrides else content
        known[path] = _merged(merged, own)
    return known[path]


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = _merged(both[key], value) if nested else value
    return both
