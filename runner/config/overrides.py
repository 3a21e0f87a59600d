"""Conversion of the user's command line to what Hydra accepts.

Hydra parses `batch=32` and `soc=310` as numbers, which it rejects as option names, and accepts only batch sizes that
have a file. So numbers are quoted here, and the batch sizes on the command line are registered as options. It also
rejects a path with `=` or a space in it, and a single value for a list. Keys are checked against the schema, so that an
unknown one is reported with the most similar one before anything is composed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, RangeSweep, Sweep
from hydra.errors import HydraException

from runner.config import flags, groups, keys, options
from runner.config.groups import GROUPS
from runner.core import ConfigError, either, nearest

AUTO = "soc=auto"
MOST_NEAREST = 3
MOST_DIGITS = 4300
"""Of a whole number: Python reads no longer ones, https://docs.python.org/3/library/stdtypes.html#int-max-str-digits."""
_SWEEPS = re.compile(r"\+*(?:experiment|hydra\.mode)=")
"""Overrides that may make a sweep without --multirun."""
_LONG_NUMBER = re.compile(rf"\d(?:_?\d){{{MOST_DIGITS}}}")
_MODES = ("force",)
"""Keys that take a list, or true and false."""


def adapt(arguments: Sequence[str], detect_chips: Callable[[], Sequence[str]]) -> list[str]:
    """Return the command line as Hydra takes it: --config-dir first, then the overrides, then the flags.

    Numbers of group options are quoted: batch=1,4 -> batch='1','4'. soc=Ascend310P3 (atc's name) becomes soc=310P3;
    soc=auto becomes the chip found by `detect_chips`, called only then. Paths are quoted where Hydra would not take
    them as typed; a single value of a key that takes a list becomes a list of one.

    Raises:
        ConfigError: an argument is no override, or there is no such key or flag; a group is given a list or a mapping;
            no chip is detected, or there is no option for it; the folder does not exist, or one of its options is
            hidden by the runner's own.
    """
    config_dir, rest = groups.split_config_dir(arguments)
    given_flags, typed = flags.split(rest)
    is_sweep = "--multirun" in given_flags or any(_SWEEPS.match(argument) for argument in typed)
    for argument in typed:
        _check_key(argument, config_dir)
    adapted = [_adapt_one(argument, is_sweep, config_dir) for argument in typed]
    adapted = [_soc_detected(detect_chips, config_dir) if text == AUTO else text for text in adapted]
    if config_dir:
        options.refuse_hidden(adapted, config_dir)
        adapted = [groups.CONFIG_DIR, str(config_dir), *adapted]
    return [*adapted, *given_flags]


def register_batches(arguments: Sequence[str]) -> None:
    """Register every batch size on the adapted command line that has no file as an option of the group."""
    listed = groups.files("batch").keys()
    for argument in arguments:
        if argument.lstrip("+").startswith("batch="):
            for text in set(re.findall(r"-?\d+", argument)) - listed:
                ConfigStore.instance().store(group="batch", name=text, node={"size": int(text)}, provider="runner")


def quoted(text: str) -> str:
    """Return any text as a quoted value of an override."""
    escaped = re.sub(r"(\\+)(?='|$)", r"\1\1", text)  # backslashes count only where a quote follows
    return "'" + escaped.replace("'", "\\'") + "'"


def takes_list(name: str) -> bool:
    """Return whether a key's value may be a list."""
    return name in _MODES or (name in keys.known() and keys.known()[name].takes_list)


def _check_key(argument: str, config_dir: Path | None) -> None:
    typed, equals, text = argument.partition("=")
    name = typed.lstrip("+~").partition("@")[0]
    if not equals and not typed.startswith("~"):
        raise _no_override(argument, config_dir)
    if _LONG_NUMBER.search(text):
        raise ConfigError(
            f"{typed}={text[:20]}... has a number of more than {MOST_DIGITS} digits", "give a smaller one"
        )
    if name in GROUPS and typed.startswith(("+", "~")):
        raise ConfigError(
            f"{argument}: every run has one {name}, which is neither added nor taken away", f"give {name}=NAME"
        )
    if name.startswith("hydra") or name in groups.names():
        return
    problem = keys.problem(name)
    if problem:
        raise ConfigError(problem, keys.SEE_ALL)
    if typed.startswith("~") and name in keys.known():
        raise ConfigError(
            f"{argument} would take away {name}, which every run has", f"give it another value, as in {name}=VALUE"
        )


def _no_override(word: str, config_dir: Path | None) -> ConfigError:
    named = {name: f"{group}={name}" for group in reversed(GROUPS) for name in groups.files(group, config_dir)}
    named |= {name: f"{name}=VALUE" for name in keys.known()}
    near = [named[name] for name in nearest(word, named, MOST_NEAREST)]
    return ConfigError(
        f"{word} is no key=value" + (f"; did you mean {either(near)}?" if near else ""),
        "`python -m runner --help` shows what can be typed",
    )


def _adapt_one(argument: str, is_sweep: bool, config_dir: Path | None) -> str:
    typed, equals, text = argument.partition("=")
    name = typed.lstrip("+")
    if not equals:
        return argument
    if name in keys.PATHS:
        return f"{typed}={_path_as_typed(typed, text, is_sweep)}"
    is_group = name in groups.names() or name.startswith("hydra/")
    override = _parsed(argument) if is_group or takes_list(name) else None
    if override is None:
        return argument  # Hydra itself reports an error of the syntax
    value = override.value()
    if not is_group:
        return f"{typed}={_as_list(override, text, is_sweep)}"
    if name not in GROUPS:
        plus = "+" if name in groups.names() and typed == name else ""  # the defaults choose no option of it
        return f"{plus}{typed}={text if value is None else _option_name(name, override, text)}"
    if is_sweep and isinstance(value, Glob):
        return f"{typed}={_matching(argument, name, value, config_dir)}"
    return f"{typed}={_option_name(name, override, text)}"


def _parsed(argument: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None


def _option_name(group: str, override: Override, text: str) -> str:
    if isinstance(override.value(), (list, dict)):
        raise ConfigError(
            f"{override.input_line}: {group} takes one option", f"give {group}=OPTION, or a sweep: -m {group}=A,B"
        )
    name = _quoted(override, text)
    return _long_names_shortened(name) if group == "soc" else name


def _matching(argument: str, group: str, pattern: Glob, config_dir: Path | None) -> str:
    """Return the options that a pattern, glob(...), stands for: Hydra would read those that are numbers as numbers."""
    names = pattern.filter(groups.ordered(groups.files(group, config_dir)))
    if not names:
        raise ConfigError(f"{argument}: no {group} has such a name", f"give {group}=A,B")
    return ",".join(f"'{name}'" if name.isdecimal() else name for name in names)


def _as_list(override: Override, text: str, is_sweep: bool) -> str:
    """Return the value, or each of a sweep, as a list of one unless it is a list, true, false, null or a reference."""
    if isinstance(override.value(), ChoiceSweep) and is_sweep:
        return ",".join(_one_as_list(element) for element in override.sweep_string_iterator())
    return text if isinstance(override.value(), (list, dict, Sweep)) else _one_as_list(text)


def _one_as_list(text: str) -> str:
    is_whole = text.lower() in ("null", "true", "false") or text.startswith(("[", "${"))
    return text if is_whole else f"[{text}]"


def _path_as_typed(typed: str, text: str, is_sweep: bool) -> str:
    """Quote a path that Hydra would read as something else, such as `a=b.pth`; of a sweep, each."""
    override = _parsed(f"{typed}={text}")
    value = None if override is None else override.value()
    is_function = isinstance(value, Sweep) and not (isinstance(value, ChoiceSweep) and value.simple_form)
    if text == "null" or text[:1] in ("'", '"') or is_function:
        return text
    if is_sweep and "," in text:
        return ",".join(_path_as_typed(typed, each, is_sweep) for each in text.split(","))
    return text if value == text else quoted(text)


def _soc_detected(detect_chips: Callable[[], Sequence[str]], config_dir: Path | None) -> str:
    """Return the override that soc=auto stands for on this machine."""
    chips = sorted(set(detect_chips()))
    known = sorted(groups.files("soc", config_dir))
    if not chips:
        raise ConfigError(
            "soc=auto: npu-smi names no chip on this machine", f"name the chip: choose soc from {', '.join(known)}"
        )
    if len(chips) > 1:
        raise ConfigError(
            f"soc=auto: this machine has different chips, {', '.join(chips)}", "name the one to run on with soc=NAME"
        )
    if chips[0] not in known:
        raise ConfigError(
            f"soc=auto: npu-smi names the chip {chips[0]}, for which there is no conf/soc/{chips[0]}.yaml",
            f"add that file, or choose soc from {', '.join(known)}",
        )
    return f"soc='{chips[0]}'"


def _long_names_shortened(names: str) -> str:
    """Convert atc's names to option names: Ascend310P3 to 310P3."""
    return re.sub(r"\bAscend(?=\w)", "", names)


def _quoted(override: Override, text: str) -> str:
    value = override.value()
    if isinstance(value, (ChoiceSweep, RangeSweep)):
        return ",".join(_quoted_unless_text(element, str(element)) for element in override.sweep_iterator())
    return _quoted_unless_text(value, text)


def _quoted_unless_text(value: object, text: str) -> str:
    """Quote what Hydra would not take as a name: a number, true, false or null."""
    is_unquoted = isinstance(value, (int, float)) or value is None
    return f"'{text}'" if is_unquoted else text
