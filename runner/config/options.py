"""The options of each config group, in conf/ and in a user's own folder, read without composing them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import MissingConfigException
from omegaconf import DictConfig

from runner.config.groups import CONF, GROUPS, LISTED
from runner.core import ConfigError, did_you_mean

MOST_LISTED = 20
"""The maximum number of options that an error lists in full."""
YamlLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The C loader if available: ten times faster for a whole zoo."""


def read(path: Path) -> dict[str, Any]:
    """Return the content of an option's file, merged with its defaults from the same group; interpolations unresolved.

    Its `defaults` are its own, then the choices of other groups' options that it inherits.

    Raises:
        ConfigError: it cannot be read, or is not a mapping.
    """
    return _read(path, ())


def unknown(group: str, name: str, names: Sequence[str], where: str = "") -> ConfigError:
    """Return the error for an unknown option: the most similar options, and how to list all."""
    message = f"{where}there is no {group}={name}"
    if group == "batch":
        return ConfigError(message, "give a size of at least 1, as in batch=32")
    hints = list(filter(None, [did_you_mean(name, names)]))
    if len(names) <= MOST_LISTED:
        hints.append(f"choose from {', '.join(names)}")
    elif group in LISTED:
        hints.append(f"`python -m runner.list {group}` shows all {len(names)}")
    if group == "model" and "timm" in names:
        hints.append("; any of timm's is model=timm model.arch=NAME")
    return ConfigError(message, " ".join(hints).replace(" ;", ";"))


def missing(error: MissingConfigException) -> ConfigError | None:
    """Convert Hydra's error about an unknown option, adding similar names; None if it is another error."""
    group, slash, name = (error.missing_cfg_file or "").rpartition("/")
    if not slash or error.options is None:
        return None
    place = re.match(r"In '([^']+)'", str(error))
    where = f"In '{place[1]}': " if place and place[1] not in ("config", "hydra/config") else ""
    return unknown(group, name, list(error.options), where)


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
            if theirs.is_file() and ours.is_file() and theirs.read_bytes() != ours.read_bytes():
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


def _read(path: Path, inheriting: tuple[Path, ...]) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(), YamlLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read: {reason}", "correct the file") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is no mapping of keys to values", "correct the file")
    merged: dict[str, Any] = {}
    overrides: list[Any] = []
    defaults = content["defaults"] if isinstance(content.get("defaults"), list) else []
    for entry in defaults:
        parent = path.parent / f"{entry}.yaml"
        if isinstance(entry, str) and entry != "_self_" and parent.is_file() and parent not in inheriting:
            inherited = _read(parent, (*inheriting, path))
            merged = _merged(merged, {key: value for key, value in inherited.items() if key != "defaults"})
            overrides += [each for each in inherited.get("defaults") or () if isinstance(each, dict)]
    return _merged(merged, {**content, "defaults": [*defaults, *overrides]} if overrides else content)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = _merged(both[key], value) if nested else value
    return both
