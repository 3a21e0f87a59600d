"""Hydra's and OmegaConf's errors about a configuration as ConfigErrors: what is wrong, where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from runner.config import groups, keys, options, overrides
from runner.config.groups import CONF
from runner.core import ConfigError, RunnerError, cause_of
from runner.core.errors import causes

_NO_CHOICE = re.compile(r"You must specify '(?P<group>\w+)'")
_SEVERAL = re.compile(
    r"Ambiguous value for argument '(?P<listed>.*)'$|Sweep parameters '(?P<made>.*)' requires --multirun", re.MULTILINE
)
_NUMBER = re.compile(r"'(-?\d+)'")
_PRESENT = re.compile(r"Could not append to config\. An item is already at '(?P<key>.*)'")
_ABSENT = re.compile(r"Could not delete from config\. '(?P<key>.*)' does not exist")
_MISSING = re.compile(r"Missing mandatory value: (?P<key>[\w.]+)")
_OVERRIDE = re.compile(r"(?:Could not override|Error merging override) '?(?P<override>.*?)'?\.?$", re.MULTILINE)
_IN_FILE = re.compile(r"In '(?P<place>[^']+)': ")
_DEFAULTS = "defaults"
"""The key of an option's file that Hydra reads itself."""
_NO_MAPPING = re.compile(r".*: (?!dict)(?P<kind>\w+) is not a subclass of (?P<holder>\w+)\. value: .*")
_PLAIN = (
    (_NO_MAPPING, r"it takes keys and their values, not a value of type \g<kind>"),
    (re.compile(r"field '.*' is not Optional"), "it cannot be null"),
    (re.compile(r"Cannot merge DictConfig with ListConfig"), "a list is given for a mapping, or a mapping for a list"),
)
"""What OmegaConf says of values of another type, and the same in plain words."""
_LOGGING = re.compile(r"Unable to configure (?P<part>.+)")
"""Error of logging.config for a configuration that Hydra composed."""
_EXPECTED = re.compile(r" expecting \{.*\}$")
"""Names of the grammar's tokens."""
_NOISE = re.compile(r"^(?:See https?:|full_key:|object_type=|reference_type=|\(?set HYDRA_FULL_ERROR).*$")


def of_hydra(error: Exception, arguments: Sequence[str]) -> RunnerError | None:
    """Return an error of composing a command line as one of the runner's; None if it is of another kind."""
    known = options.missing(error) if isinstance(error, MissingConfigException) else cause_of(error)
    if known is not None:
        return known
    if unusable := _LOGGING.match(str(error)):
        return ConfigError(
            f"hydra.job_logging or hydra.hydra_logging cannot be used: its {unusable['part']} is not complete",
            "leave out hydra/job_logging=... and hydra/hydra_logging=..., or give them a handler `file`",
        )
    if not isinstance(error, (HydraException, OmegaConfBaseException)) and not _is_raised_by_them(error):
        return None
    return _by_message(str(error)) or _by_cause(error, arguments) or _in_one_line(error)


def _is_raised_by_them(error: Exception) -> bool:
    """Return whether code of Hydra or OmegaConf raised the error itself, as their assertions do."""
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    module = "" if innermost is None else innermost.tb_frame.f_globals.get("__name__", "")
    return module.partition(".")[0] in ("hydra", "omegaconf")


def _by_message(text: str) -> ConfigError | None:
    if found := _NO_CHOICE.search(text):
        group = found["group"]
        return ConfigError(f"no {group} is chosen", f"give {group}=NAME: `python -m runner.list {group}` shows them")
    if found := _SEVERAL.search(text):
        argument = _NUMBER.sub(r"\1", found["listed"] or found["made"])  # without the quotes that overrides.adapt adds
        key, _, values = argument.partition("=")
        as_list = f", or give one list: {key}=[{values}]" if overrides.takes_list(key) else ""
        return ConfigError(
            f"{argument} has several values, and this is one run", f"-m makes each a run of its own{as_list}"
        )
    if found := _PRESENT.search(text):
        key = found["key"]
        return ConfigError(f"{key} is there already, and + adds a key", f"leave the + out: {key}=VALUE")
    if found := _ABSENT.search(text):
        return ConfigError(f"~{found['key']}: there is no key {found['key']}", keys.SEE_ALL)
    if found := _MISSING.search(text):
        return ConfigError(f"{found['key']} is not given", f"write it in the YAML file, or give {found['key']}=VALUE")
    return None


def _by_cause(error: Exception, arguments: Sequence[str]) -> ConfigError | None:
    """Return the error about a key or a value, with the file or the argument that has it."""
    cause = next((each for each in causes(error) if isinstance(each, OmegaConfBaseException)), None)
    key = "" if cause is None else str(cause.full_key or "") or _key_of_holder(str(cause))
    if cause is None or not key:
        return None
    path = _file(str(error), arguments)
    where = "" if path is None else f"{path}{_line(path, key)}: "
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
        adds = "" if path is not None or keys.problem(key) else f"; `+{key}=VALUE` adds it"
        see_all = keys.SEE_ALL.replace("job", "hydra") if key.startswith("hydra") else keys.SEE_ALL
        of_files = [f"{path.parent.name}.{_DEFAULTS}"] if path is not None else []
        return ConfigError(where + keys.absent(key, [*_siblings(cause, key), *of_files]), see_all + adds)
    typed = _OVERRIDE.search(str(error))
    shown = where or (f"{typed['override']}: " if typed else f"{key}: ")
    of_key = f"{key}: " if where else ""
    return ConfigError(f"{shown}{of_key}{_in_plain_words(str(cause).splitlines()[0])}", keys.SEE_ALL)


def _key_of_holder(text: str) -> str:
    """Return the key whose class OmegaConf names for a value of another type; empty if it names none."""
    found = _NO_MAPPING.match(text)
    if found is None:
        return ""
    return next((name for name, key in keys.known().items() if found["holder"] in key.annotation), "")


def _in_plain_words(text: str) -> str:
    for pattern, plain in _PLAIN:
        text = pattern.sub(plain, text)
    return text


def _in_one_line(error: Exception) -> ConfigError:
    lines = [_EXPECTED.sub("", line.strip()) for line in str(error).splitlines()]
    told = [line for line in lines if line and not _NOISE.match(line)] or [type(error).__name__]
    if isinstance(error, OverrideParseException) and str(error.override) not in told[0]:
        told.insert(0, f"error parsing override {str(error.override)!r}")
    return ConfigError("; ".join(told), "`python -m runner --help` shows what can be typed")


def _siblings(cause: OmegaConfBaseException, key: str) -> list[str]:
    """Return the names of the keys beside one that does not exist: those of its node, or of the schema."""
    parent = key.rpartition(".")[0]
    node: Any = cause.parent_node
    if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
        return [f"{parent}.{name!s}" if parent else str(name) for name in node]
    return list(keys.known())


def _file(text: str, arguments: Sequence[str]) -> Path | None:
    """Return the file in which Hydra says that the error is."""
    place = _IN_FILE.search(text)
    if place is None:
        return None
    config_dir, _ = groups.split_config_dir(arguments)
    paths = (folder / f"{place['place']}.yaml" for folder in (config_dir, CONF) if folder is not None)
    return next((path for path in paths if path.is_file()), None)


def _line(path: Path, key: str) -> str:
    """Return ", line N" of a key in a file of its group; empty if it is not found there."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ""
    lines = _lines(root, path.parent.name)
    # OmegaConf does not tell where in a list a key is
    found = next((line for name, line in lines if name == key or name.endswith(f"].{key}")), None)
    return "" if found is None else f", line {found}"


def _lines(node: Any, name: str) -> Iterator[tuple[str, int]]:
    """Yield the full name of each key below a node, and its line."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{name}.{key.value}", key.start_mark.line + 1
            yield from _lines(value, f"{name}.{key.value}")
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _lines(item, f"{name}[{index}]")
