"""The page of `python -m runner --help`, printed without composing anything."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from runner.config import groups

FLAGS = ("--help", "-h")
WIDTH = 110
PAGE = """\
From a PyTorch checkpoint to a published table, in one command:

  python -m runner model=dqn weights=random
  python -m runner model=moco_v2 dataset.root=DIR batch=32 soc=310P3
  python -m runner -m model=dpn131 dataset.root=DIR batch=1,4,8,16,32,64      a sweep
  python -m runner model=timm model.arch=NAME dataset.root=DIR                any network of timm, or of torchvision
  python -m runner --config-dir DIR model=NAME                                a model of yours

What can be chosen (group=option):

{options}

What can be set (key=value):

  weights=auto|random|PATH    auto: the file in checkpoints/, else the declared URL
  compiled=DIR                a model that another host has compiled (docs/two_hosts.md)
  limit=N                     the first N samples
  stages=[weights,export]     a part of the run, and what it needs
  dry_run=true                print what would be done, and every external command
  force=true|[STAGE,...]      redo
  device=0|[0,1]  seed=0  cache_dir=DIR
  dataset.root=DIR  dataset.labels=FILE
  allow=[PACKAGE]             packages of yours that --config-dir's YAML may name
  gates.*  benchmark.*        every key and its value: python -m runner --cfg job model=NAME

Flags:

  -m, --multirun              a sweep: every key may have several values with commas
  --config-dir DIR            options of yours: DIR/model/*.yaml, DIR/dataset/*.yaml, ...
  --cfg job                   print the configuration and do nothing; with --resolve, its references resolved
  --version                   the runner's version
  --completion bash           print what completes what is typed; or zsh: eval "$({program} --completion bash)"
  --hydra-help                Hydra's own flags, which work too

Beside it, each with --help of its own:

{commands}

`{program}` is short for `python -m runner`, and `{program} report` for `python -m runner.report`.
"""
PROGRAM = "mzr"
"""The console script: the initials of model-zoo-runner, which no other program is known to have."""
COMMANDS = {
    "list": ("", "what there is, and what can run here now"),
    "report": ("", "tables, a page, Markdown and CSV of the results"),
    "compare": ("A [B]", "whether accuracy, throughput or latency fell since a run, or the last good one"),
    "diff": ("A B", "what differs between two runs"),
    "guide": ("", "a model's guide, from its YAML and the results"),
    "debug": ("", "where outputs diverge: step, layer, a node to replay"),
    "new": ("", "a YAML of yours, and the command that runs it"),
    "cache": ("", "what the store holds; verify, prune"),
}
"""The commands beside a run, `python -m runner.NAME`: what they take first, and what they do."""
_NOTES = {"soc": "auto: the chip that npu-smi names", "batch": "any size", "experiment": "a whole table"}
"""Values that a group accepts besides the options that have a file."""


def is_asked_for(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for help."""
    return not set(FLAGS).isdisjoint(arguments)


def page(arguments: Sequence[str]) -> str:
    """Return the page, including the options of the folder that --config-dir names, if given.

    Raises:
        ConfigError: there is no such folder, or several are given.
    """
    folder, _ = groups.split_config_dir(arguments)
    return PAGE.format(
        options="\n".join(_group(group, folder) for group in _groups()),
        commands="\n".join(
            f"  {f'python -m runner.{name} {takes}':<31} {does}" for name, (takes, does) in COMMANDS.items()
        ),
        program=PROGRAM,
    )


def _groups() -> list[str]:
    return [*groups.GROUPS, *sorted(groups.names().difference(groups.GROUPS))]


def _group(group: str, folder: Path | None) -> str:
    names = groups.ordered(groups.files(group, folder))
    words = [*names, *([f"({_NOTES[group]})"] if group in _NOTES else [])]
    heading = f"  {group + ':':<12}"
    return textwrap.fill(
        "  ".join(words),
        WIDTH,
        initial_indent=heading,
        subsequent_indent=" " * len(heading),
        break_long_words=False,
        break_on_hyphens=False,
    )
