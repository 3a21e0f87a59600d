"""The tasks: what `task` in a model's and a data set's YAML may say, and what belongs to each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskKind:
    """`folder` holds the task's readers, decoders and metrics: runner.tasks.<folder>.

    `is_decoded` is whether the network's first output must be decoded before it can be scored; `classifies` is whether
    it holds the scores of classes or actions.
    """

    folder: str
    is_decoded: bool
    classifies: bool = False


TASKS = {
    "image_classification": TaskKind("classification", is_decoded=False, classifies=True),
    "image_generation": TaskKind("generation", is_decoded=False),
    "reinforcement_learning": TaskKind("control", is_decoded=False, classifies=True),
    "detection": TaskKind("detection", is_decoded=True),
    "segmentation": TaskKind("segmentation", is_decoded=True),
    "restoration": TaskKind("restoration", is_decoded=True),
    "recognition": TaskKind("recognition", is_decoded=True),
    "ocr_detection": TaskKind("ocr_detection", is_decoded=True),
}


def folder_of(name: str) -> str | None:
    """Return the folder of the task that a callable such as runner.tasks.detection.Coco belongs to, if it has one."""
    parts = name.split(".")
    folders = {kind.folder for kind in TASKS.values()}
    return parts[2] if parts[:2] == ["runner", "tasks"] and parts[2] in folders else None
