"""Conversion of the user's command line to what Hydra accepts.

Hydra parses `batch=32` and `soc=310` as numbers, which it rejects as option names, and accepts only batch sizes that
have a file. So numbers are quoted here, and the batch sizes on the command line are registered as options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import HydraException

from runner.config import groups, options
from runner.config.groups import CONF, GROUPS
from runner.core import ConfigError

AUTO = ("soc=auto", "+soc=auto", "++soc=auto")


def adapt(arguments: Sequence[str], detect_chips: Callable[[], Sequence[str]]) -> list[str]:
    """Return the command line with numbers of group options quoted: batch=1,4 -> batch='1','4'.

    soc=Ascend310P3 (atc's name) becomes soc=310P3; soc=auto becomes the chip found by `detect_chips`, called only then.
    --config-dir DIR may be at any position; Hydra requires it before the overrides.

    Raises:
        ConfigError: a group is given a list or a mapping; no chip is detected, or there is no option for it; the
            folder does not exist, or one of its options is hidden by the runner's own.
    """
    config_dir, rest = groups.split_config_dir(arguments)
    adapted = [_adapt_one(argument) for argument in rest]
    adapted = [_soc_detected(text, detect_chips, config_dir) if text in AUTO else text for text in adapted]
    if config_dir:
        options.refuse_hidden(adapted, config_dir)
        adapted = [groups.CONFIG_DIR, str(config_dir), *adapted]
    return adapted


def register_batches(arguments: Sequence[str]) -> None:
    """Register every batch size on the adapted command line that has no file as an option of the group."""
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
        return argument  # Hydra itself reports the error
    if isinstance(override.value(), (list, dict)):
        raise ConfigError(f"{argument}: {name} takes one option", f"give {name}=OPTION, or a sweep: -m {name}=A,B")
    return f"{name}={_long_names_shortened(_quoted(override, text)) if name == 'soc' else _quoted(override, text)}"


def _soc_detected(argument: str, detect_chips: Callable[[], Sequence[str]], config_dir: Path | None) -> str:
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
    return argument.replace("auto", f"'{chips[0]}'")


def _long_names_shortened(options: str) -> str:
    """Convert atc's names to option names: Ascend310P3 to 310P3."""
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
