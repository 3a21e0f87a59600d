"""What can be chosen: the options of each group, in conf/ and in a user's own folder, read without composing them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import MissingConfigException

from runner.errors import ConfigError

CONF = Path(__file__).parent.parent / "conf"
GROUPS = ("model", "dataset", "soc", "batch", "tool")
LISTED = ("model", "dataset", "soc", "tool")
"""Those of which there is something to tell; a batch is any size."""
MOST_LISTED = 20
"""Options that an error still lists in full."""
MOST_NEAREST = 5
LEAST_ALIKE = 0.6
"""How alike two names are that one may be mistaken for the other, from 0 to 1."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # written in C: a tenth of the time for a whole zoo


def files(group: str, config_dir: Path | None = None) -> dict[str, Path]:
    """Every option's file, by name. Of two with one name Hydra takes the runner's own."""
    folders = [config_dir, CONF] if config_dir else [CONF]
    return {path.stem: path for folder in folders for path in sorted((folder / group).glob("*.yaml"))}


def read(path: Path) -> dict[str, Any]:
    """What an option's file says, with what it inherits from others of its group; interpolations stay as written.

    Raises:
        ConfigError: it cannot be read, or is no mapping.
    """
    return _read(path, ())


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """The names that may be meant, likeliest first: those that are much alike, then those that hold the whole name."""
    wanted = name.casefold()
    alike = {candidate: likeness(name, candidate) for candidate in names}
    ranked = sorted(alike, key=lambda candidate: (-alike[candidate], -_shared(wanted, candidate), candidate))
    close = [candidate for candidate in ranked if alike[candidate] >= LEAST_ALIKE]
    holding = [candidate for candidate in ranked if wanted in candidate.casefold()] if len(wanted) > 1 else []
    return list(dict.fromkeys([*close, *holding]))[:MOST_NEAREST]


def likeness(name: str, other: str) -> float:
    """From 0 for names of nothing in common to 1 for the same but for capitals."""
    return SequenceMatcher(None, name.casefold(), other.casefold()).ratio()


def _shared(name: str, other: str) -> int:
    """How many characters the two begin with alike."""
    pairs = zip(name.casefold(), other.casefold(), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def unknown(group: str, name: str, names: Sequence[str], where: str = "") -> ConfigError:
    """The error of an option that there is not: the nearest ones first, and where to see all."""
    message = f"{where}there is no {group}={name}"
    if group == "batch":
        return ConfigError(message, "give a size of at least 1, as in batch=32")
    near = nearest(name, names)
    hints = [f"did you mean {either(near)}?"] if near else []
    if len(names) <= MOST_LISTED:
        hints.append(f"choose from {', '.join(names)}")
    elif group in LISTED:
        hints.append(f"`python -m runner.list {group}` shows all {len(names)}")
    if group == "model" and "timm" in names:
        hints.append("; any of timm's is model=timm model.arch=NAME")
    return ConfigError(message, " ".join(hints).replace(" ;", ";"))


def either(names: Sequence[str]) -> str:
    """As in "a, b or c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def missing(error: MissingConfigException) -> ConfigError | None:
    """What Hydra tells of an option that there is not, with the nearest names; None where it is something else."""
    group, slash, name = (error.missing_cfg_file or "").rpartition("/")
    if not slash or error.options is None:
        return None
    place = re.match(r"In '([^']+)'", str(error))
    where = f"In '{place[1]}': " if place and place[1] not in ("config", "hydra/config") else ""
    return unknown(group, name, list(error.options), where)


def refuse_hidden(arguments: Iterable[str], config_dir: Path) -> None:
    """See to it that no option that is chosen stands in the user's folder and in the runner's own, which would win.

    Raises:
        ConfigError: one does, and says something else.
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


def make_importable(config_dir: Path) -> None:
    """Let the hooks of a user's zoo be found: the packages beside the folder, after all that is installed."""
    beside = str(config_dir.absolute().parent)
    if beside not in sys.path:
        sys.path.append(beside)


def _read(path: Path, inheriting: tuple[Path, ...]) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read: {told}", "correct the file") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is no mapping of keys to values", "correct the file")
    merged: dict[str, Any] = {}
    defaults = content.get("defaults")
    for entry in defaults if isinstance(defaults, list) else ():
        parent = path.parent / f"{entry}.yaml"
        if isinstance(entry, str) and entry != "_self_" and parent.is_file() and parent not in inheriting:
            inherited = _read(parent, (*inheriting, path))
            merged = _merged(merged, {key: value for key, value in inherited.items() if key != "defaults"})
    return _merged(merged, content)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for key, value in above.items():
        nested = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = _merged(both[key], value) if nested else value
    return both
