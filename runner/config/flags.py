"""The flags of the command line that are Hydra's, and the split of a command line into flags and overrides."""

from __future__ import annotations

from collections.abc import Sequence

from runner.core import ConfigError, did_you_mean

VALUES = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--package": (),
    "--config-path": (),
    "--config-name": (),
}
"""Flags that take a value, and its choices, if they are few; --info may stand alone."""
SWITCHES = ("--multirun", "--resolve", "--run", "--hydra-help")
SHORT = {
    "-m": "--multirun",
    "-c": "--cfg",
    "-i": "--info",
    "-p": "--package",
    "-r": "--run",
    "-cp": "--config-path",
    "-cn": "--config-name",
    "-sc": "--shell-completion",
}
OURS = ("--help", "--version", "--completion", "--config-dir")
"""Flags that the runner handles before Hydra sees the command line."""
REFUSED = {
    "--experimental-rerun": (
        "loads a pickle, which may hold code",
        "give the overrides again that .hydra/overrides.yaml in the run folder lists",
    ),
    "--shell-completion": (
        "is Hydra's, which completes only what names a file of Python",
        'take the runner\'s own, eval "$(python -m runner --completion bash)"',
    ),
}


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line, without --config-dir, into flags with their values, under their long names, and the rest.

    Raises:
        ConfigError: there is no such flag, it lacks its value or has a wrong one, or it is refused.
    """
    flags: list[str] = []
    rest: list[str] = []
    following = list(words)
    while following:
        word = following.pop(0)
        if not word.startswith("-"):
            rest.append(word)
            continue
        typed, equals, value = word.partition("=")
        flag = SHORT.get(typed, typed)
        _check(flag, typed)
        flags.append(flag)
        if flag not in VALUES:
            if equals:
                raise ConfigError(f"{typed} takes no value, and is given {value!r}", f"leave out ={value}")
            continue
        if equals:
            flags.append(value)
        elif following and (flag != "--info" or following[0] in VALUES["--info"]):
            flags.append(following.pop(0))
        elif flag != "--info":
            raise ConfigError(f"{typed} lacks its value", f"give one, as in {flag} {_example(flag)}")
        if VALUES[flag] and flags[-1] not in (flag, *VALUES[flag]):
            raise ConfigError(f"{typed} is given {flags[-1]!r}", f"choose from {', '.join(VALUES[flag])}")
    return flags, rest


def _check(flag: str, typed: str) -> None:
    if flag in REFUSED:
        raise ConfigError(f"{typed} {REFUSED[flag][0]}", REFUSED[flag][1])
    if flag not in VALUES and flag not in SWITCHES:
        hint = did_you_mean(typed, [*VALUES, *SWITCHES, *OURS], 1)
        raise ConfigError(
            f"there is no flag {typed}" + (f"; {hint}" if hint else ""), "`python -m runner --help` shows them all"
        )


def _example(flag: str) -> str:
    return VALUES[flag][0] if VALUES[flag] else "NAME"
