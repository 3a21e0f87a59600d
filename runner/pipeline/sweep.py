"""A sweep's account of its jobs: which there are, what they share, how each ended, and whose results are missing."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins import basic_sweeper
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from runner import results
from runner.config import options
from runner.core import Stat, entries_of, now, stat_of, write_atomically
from runner.pipeline import run_folder
from runner.pipeline.sweep_job import JobEnd, as_typed
from runner.results import SweepJob, sweeps

MOST_LOOKED_AT = 100
"""Of how many jobs the work is added up before the first one starts: composing each takes about a tenth of a second."""
NAMED_BY_NUMBER = "${hydra.job.num}"
"""Hydra's default name of a job's folder."""
BASIC_SWEEPER = f"{basic_sweeper.__name__}.BasicSweeper"
_REFUSED = (HydraException, OmegaConfBaseException, OSError)
"""Errors of composing jobs and of writing the folder: Hydra meets them again before the first job, and reports them."""


@dataclass(frozen=True)
class _Started:
    """A sweep that has begun.

    `jobs` are all that it consists of; empty if its sweeper chooses them as it goes. `left` tells what is to be run.
    `before` is what lay in its folder: clocks may jump, and a file server's may differ from this host's.
    """

    folder: Path
    before: Mapping[Path, Stat] = field(default_factory=dict)
    jobs: tuple[SweepJob, ...] = ()
    left: str = ""
    is_dry_run: bool = False

    def wrote(self, path: Path) -> bool:
        """Return whether a file or folder was written on this disk since the sweep began."""
        return path.exists() and stat_of(path) != self.before.get(path)


_codes: list[int] = []
_sweeps: list[_Started] = []
_ends: list[JobEnd] = []


def record(code: int) -> None:
    """Record a job's exit code."""
    _codes.append(code)


def forget() -> None:
    """Clear all recorded exit codes and sweeps."""
    _codes.clear()
    _sweeps.clear()
    _ends.clear()


def worst_code() -> int:
    """Return the largest recorded exit code; 0 if no job ran, as with --cfg."""
    return max(_codes, default=0)


class Sweep(Callback):
    """A callback of Hydra's that claims the folder of a run or a sweep, and takes stock of a sweep's jobs.

    As a sweep starts, `jobs` in the configuration becomes their number and `varied` the keys in which they differ.
    """

    def __init__(self, jobs: int = 0, varied: Sequence[str] = ()) -> None:
        self.jobs = jobs
        self.varied = varied

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claim the run folder."""
        _claim_folder(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claim the sweep folder, write sweep.json into it, and tell how many jobs there are and what they share."""
        _claim_folder(config, "sweep")
        folder = Path(config.hydra.sweep.dir).absolute()
        _sweeps[:] = [_Started(folder, _stats_below(folder))]
        with suppress(*_REFUSED):
            overrides = _split(config)
            if overrides is not None:
                _sweeps[:] = [_take_stock(config, _sweeps[0], overrides)]


def _stats_below(folder: Path) -> dict[Path, Stat]:
    """Return what tells whether the results and the folders of jobs below a sweep's folder change."""
    return {path: stat_of(path) for path in folder.rglob("*") if path.is_dir() or path.name == results.NAME}


def _claim_folder(config: DictConfig, kind: str) -> None:
    """Create the folder that is named by the time, with a number appended if a run of the same microsecond has it.

    A folder that is given on the command line is left unchanged.
    """
    option = f"hydra.{kind}.dir"
    overrides = OmegaConf.to_container(config.hydra.overrides.hydra, resolve=False)
    assert isinstance(overrides, list)
    if any(str(override).lstrip("+").startswith(f"{option}=") for override in overrides):
        return
    try:
        folder = Path(config.hydra[kind].dir)
        claimed = run_folder.claim(folder)
    except (OSError, OmegaConfBaseException):
        return  # Hydra will fail on it too, and its error is reported
    if claimed != folder:
        with read_write(config.hydra):
            config.hydra[kind].dir = str(claimed)
        _set_for_jobs(config, f"{option}='{claimed}'")


def _set_for_jobs(config: DictConfig, override: str) -> None:
    """Add an override of Hydra's own for the jobs of a sweep, which compose their configurations from all overrides."""
    with read_write(config.hydra):
        config.hydra.overrides.hydra.append(override)


def _split(config: DictConfig) -> list[list[str]] | None:
    """Return the overrides of each job; None if the sweeper chooses the jobs as it goes."""
    if config.hydra.sweeper._target_ != BASIC_SWEEPER:
        return None
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    parsed = parser.parse_overrides([*params, *config.hydra.overrides.task])
    (jobs,) = basic_sweeper.BasicSweeper.split_arguments(parsed, None)
    return jobs


def _take_stock(config: DictConfig, started: _Started, overrides: Sequence[Sequence[str]]) -> _Started:
    """Write sweep.json, tell how many jobs there are and what they share, and return the sweep with its jobs."""
    from runner.pipeline import display, workload

    typed = [tuple(map(as_typed, each)) for each in overrides]
    is_looked_at = len(overrides) <= MOST_LOOKED_AT or _subdir(config) != NAMED_BY_NUMBER
    composed = [_composed(config, number, each) for number, each in enumerate(overrides)] if is_looked_at else []
    names = [each.hydra.sweep.subdir for each in composed] or range(len(overrides))
    jobs = tuple(SweepJob(str(name), each) for name, each in zip(names, typed, strict=True))
    varied = ",".join(f"'{key}'" for key in workload.varied(typed))
    _set_for_jobs(config, f"hydra.callbacks.sweep.jobs={len(jobs)}")
    _set_for_jobs(config, f"hydra.callbacks.sweep.varied=[{varied}]")
    options.make_allowed_importable(config, config_dirs(config.hydra.runtime))
    work = workload.of_configurations(composed)
    if not config.dry_run:
        earlier = tuple(sorted(each.created for each in results.find([started.folder]).results if each.created))
        written = results.Sweep(created=now(), host=platform.node(), jobs=jobs, earlier=earlier)
        sweeps.write(started.folder, written)
    display.news("; ".join(filter(None, [workload.described(typed), workload.shared_work(work)])))
    left = workload.left_to_do(work) if work.jobs else ""
    if left and not config.dry_run:
        display.news(left)
    return replace(started, jobs=jobs, left=left, is_dry_run=config.dry_run)


def _subdir(config: DictConfig) -> str:
    """Return what names the folders of jobs, unresolved."""
    sweep = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    assert isinstance(sweep, dict)
    return str(sweep["subdir"])


def _composed(config: DictConfig, number: int, overrides: Sequence[str]) -> DictConfig:
    """Return a job's configuration as the launcher composes it."""
    composed = GlobalHydra.instance().config_loader().load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.num = number
    return composed


def config_dirs(runtime: Any) -> list[str]:
    """Return the folders given by --config-dir, from `hydra.runtime`, which any launcher's process has, too."""
    return [source.path for source in runtime.config_sources if source.provider == "command-line"]


@contextmanager
def accounted() -> Iterator[None]:
    """Account for the runs and sweeps of the block: `worst_code` is theirs; a sweep's table ends it, however it ended.

    What jobs return through their launcher is kept for that: Hydra does not hand it on.
    """
    forget()
    multirun = Hydra.multirun

    def kept(self: Hydra, *arguments: Any, **named: Any) -> Any:
        returned = multirun(self, *arguments, **named)
        _ends.extend(_ends_in(returned))
        return returned

    Hydra.multirun = kept  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.multirun = multirun  # type: ignore[method-assign]
        finish()


def _ends_in(returned: Any) -> Iterator[JobEnd]:
    """Yield how jobs ended, from what a sweeper returned: lists of jobs, or anything else."""
    if isinstance(returned, (list, tuple)):
        for each in returned:
            yield from _ends_in(each)
    elif isinstance(returned, JobReturn) and isinstance(returned.return_value, JobEnd):
        yield returned.return_value


def finish() -> None:
    """Record the exit codes of the sweep's jobs and print their table, even if the sweep was interrupted."""
    while _sweeps:
        started = _sweeps.pop()
        for end in _ends:
            record(end.code)
        if started.is_dry_run:
            left = f", shared work counted once: {started.left}" if started.left else ""
            print(f"total of {len(started.jobs)} jobs{left}")
        elif _ends or any(started.wrote(path) for path in entries_of(started.folder) if path.is_dir()):
            _collect(started)
            _account(started)
        else:
            _discard(started.folder)
    _ends.clear()


def _collect(started: _Started) -> None:
    """Write the results of jobs that ran on the disk of another host, and tell where the rest of their files lies."""
    from runner.pipeline import display

    elsewhere: dict[str, list[str]] = {}
    for end in _ends:
        path = started.folder / end.name / results.NAME
        if end.content is not None and not (path.is_file() and path.read_bytes() == end.content):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, end.content)
            elsewhere.setdefault(f"{end.host}:{end.folder.removesuffix(end.name)}", []).append(end.name)
    for place, names in elsewhere.items():
        display.news(
            f"job {', '.join(names)}: the results are copied here; logs and raw latencies lie in {place}; "
            "docs/sweeps.md says how to collect them"
        )


def _account(started: _Started) -> None:
    """Record the exit codes of all jobs, 1 for each whose result is missing, and print their table."""
    from runner.pipeline import display

    folders = {job.name: started.folder / job.name for job in started.jobs}
    possible = [folder / results.NAME for folder in folders.values()] or sorted(
        started.folder.glob(f"*/{results.NAME}")
    )
    paths = [path for path in possible if started.wrote(path)]
    for each in results.find(paths).results:
        record(each.exit_code)
    returned = {end.name for end in _ends}
    missing = [name for name in folders if name not in returned and folders[name] / results.NAME not in paths]
    if missing:
        record(1)
    never_begun = [f"job {name}" for name in missing if not started.wrote(folders[name])]
    if never_begun:
        display.notice(f"never started on this host: {', '.join(never_begun)}")
    if paths or missing:
        display.sweep([started.folder] if started.jobs else paths)


def _discard(folder: Path) -> None:
    """Remove what was written for a sweep of which no job was started."""
    with suppress(OSError):  # it is no folder, may not be written, or has other files
        for name in (results.SWEEP, "multirun.yaml"):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
