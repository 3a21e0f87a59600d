"""Config groups and their files, read without Hydra, which is slow to import."""

from __future__ import annotations

from pathlib import Path

CONF = Path(__file__).parents[2] / "conf"
GROUPS = ("model", "dataset", "soc", "batch", "tool")
LISTED = ("model", "dataset", "soc", "tool")
"""Groups whose options can be listed; a batch may have any size."""


def files(group: str, config_dir: Path | None = None) -> dict[str, Path]:
    """Return every option's file, by name. If two have the same name, Hydra uses the runner's own."""
    folders = [config_dir, CONF] if config_dir else [CONF]
    return {path.stem: path for folder in folders for path in sorted((folder / group).glob("*.yaml"))}
