"""Config groups, their files, and --config-dir, the folder of a user's own: without Hydra, which is slow to import."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from runner.core import ConfigError

CONF = Path(__file__).parents[2] / "conf"
GROUPS = ("model", "dataset", "soc", "batch", "tool")
LISTED = ("model", "dataset", "soc", "tool", "experiment")
"""Groups whose options can be listed; a batch may have any size."""
CONFIG_DIR = "--config-dir"
CONFIG_DIR_FLAGS = (CONFIG_DIR, "-cd")


def files(group: str, config_dir: Path | None = None) -> dict[str, Path]:
    """Return every option's file, by name. If two have the same name, Hydra uses the runner's own."""
    folders = [config_dir, CONF] if config_dir else [CONF]
    return {path.stem: path for folder in folders for path in sorted((folder / group).glob("*.yaml"))}


def ordered(options: Iterable[str]) -> list[str]:
    """Return options in the order in which people look for them: numbers by size, before names."""
    return sorted(options, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def names() -> set[str]:
    """Return the names of all groups: GROUPS, and those of which no option is chosen by default."""
    return {*GROUPS, *(path.name for path in CONF.iterdir() if path.is_dir() and not path.name.startswith("_"))}


def split_config_dir(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Split the arguments into the --config-dir folder, if given, and the rest.

    Raises:
        ConfigError: there is no such folder, or several are given.
    """
    folders: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        flag, equals, folder = word.partition("=")
        if flag in CONFIG_DIR_FLAGS:
            folders.append(folder if equals else next(words, ""))
        else:
            rest.append(word)
    return (config_folder(folders) if folders else None), rest


def config_dir_arguments(folder: str | None) -> list[str]:
    """Return the --config-dir arguments for a command that parses this option itself."""
    return [] if folder is None else [CONFIG_DIR, folder]


def config_folder(folders: Sequence[str]) -> Path:
    """Return the folder of the user's own options.

    Raises:
        ConfigError: it does not exist, or there are several.
    """
    if len(set(folders)) > 1:
        raise ConfigError(
            f"{CONFIG_DIR} is given {len(folders)} times: {', '.join(folders)}", "give one; it may hold every group"
        )
    if not folders[0] or not Path(folders[0]).is_dir():
        raise ConfigError(
            f"{CONFIG_DIR} {folders[0]}: there is no such folder",
            "give the one that holds model/, dataset/, soc/ or tool/; python -m runner.new makes one",
        )
    return Path(folders[0])
