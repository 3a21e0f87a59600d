"""What users type, as Hydra takes it.

Bare Hydra reads `batch=32` and `soc=310` as numbers and refuses them as names of options, and knows only batch sizes
that have a file. So numbers are quoted here, and the batch sizes that are typed become options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import HydraException

from runner.errors import ConfigError

CONF = Path(__file__).parent.parent / "conf"
GROUPS = ("model", "dataset", "soc", "batch", "tool")
AUTO = ("soc=auto", "+soc=auto", "++soc=auto")
HELP_FLAGS = ("--help", "-h")


def adapt(arguments: Sequence[str], detect_chips: Callable[[], Sequence[str]]) -> list[str]:
    """The command line with numbers of group options quoted: batch=1,4 -> batch='1','4'.

    soc=Ascend310P3, atc's name, becomes soc=310P3; soc=auto the chip that `detect_chips` finds, called only then.
    With --help no model need be chosen.

    Raises:
        ConfigError: a group is given a list or a mapping; there is no chip to find, or no option for it.
    """
    adapted = [_adapt_one(argument) for argument in arguments]
    adapted = [_soc_detected(argument, detect_chips) if argument in AUTO else argument for argument in adapted]
    chosen = any(argument.startswith("model=") for argument in adapted)
    return [*adapted, "~model"] if asks_for_help(adapted) and not chosen else adapted


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether the command line is a question about the command line."""
    return not set(HELP_FLAGS).isdisjoint(arguments)


def register_batches(arguments: Sequence[str]) -> None:
    """Make every batch size that the adapted command line names, and that has no file, an option of the group."""
    listed = {path.stem for path in (CONF / "batch").glob("*.yaml")}
    for argument in arguments:
        if argument.lstrip("+").startswith("batch="):
            for text in set(re.findall(r"-?\d+", argument)) - listed:
                ConfigStore.instance().store(group="batch", name=text, node={"size": int(text)}, provider="runner")


def _adapt_one(argument: str) -> str:
    name, equals, text = argument.partition("=")
    if not equals or name.lstrip("+") not in GROUPS:
        return argument
    try:
        override = OverridesParser.create().parse_override(argument)
    except HydraException:
        return argument  # Hydra itself says what is wrong with it
    if isinstance(override.value(), (list, dict)):
        raise ConfigError(f"{argument}: {name} takes one option", f"give {name}=OPTION, or a sweep: -m {name}=A,B")
    return f"{name}={_long_names_shortened(_quoted(override, text)) if name == 'soc' else _quoted(override, text)}"


def _soc_detected(argument: str, detect_chips: Callable[[], Sequence[str]]) -> str:
    chips = sorted(set(detect_chips()))
    options = sorted(path.stem for path in (CONF / "soc").glob("*.yaml"))
    if not chips:
        raise ConfigError(
            "soc=auto: npu-smi names no chip on this machine", f"name the chip: choose soc from {', '.join(options)}"
        )
    if len(chips) > 1:
        raise ConfigError(
            f"soc=auto: this machine has different chips, {', '.join(chips)}", "name the one to run on with soc=NAME"
        )
    if chips[0] not in options:
        raise ConfigError(
            f"soc=auto: npu-smi names the chip {chips[0]}, for which there is no conf/soc/{chips[0]}.yaml",
            f"add that file, or choose soc from {', '.join(options)}",
        )
    return argument.replace("auto", f"'{chips[0]}'")


def _long_names_shortened(options: str) -> str:
    """Ascend310P3, atc's name, is the option 310P3."""
    return re.sub(r"\bAscend(?=\w)", "", options)


def _quoted(override: Override, text: str) -> str:
    value = override.value()
    if isinstance(value, (ChoiceSweep, RangeSweep)):
        return ",".join(_quote_number(element) for element in override.sweep_iterator())
    return f"'{text}'" if _is_number(value) else text


def _quote_number(element: object) -> str:
    return f"'{element}'" if _is_number(element) else str(element)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
