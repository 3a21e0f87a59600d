"""The text of a guide, in the order of the public guides' sections. Pure."""

from __future__ import annotations

from runner.guide import blocks, by_hand
from runner.guide.data_set import data_set
from runner.guide.inference import inference
from runner.guide.overview import environment, overview, source
from runner.guide.results import results
from runner.guide.subject import Subject


def write(subject: Subject) -> str:
    """Return the guide in Markdown."""
    words, commands = subject.words, by_hand.commands(subject.config, subject.typed)
    parts = [
        words["title"].format(name=subject.config.model.name),
        words["contents"],
        *overview(subject),
        *environment(subject),
        blocks.section(words, "quickstart"),
        *source(subject),
        *data_set(subject, commands),
        *inference(subject, commands),
        *results(subject),
    ]
    return "\n\n".join(parts)
