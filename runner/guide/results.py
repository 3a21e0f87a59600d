"""The section of a guide on results: what was measured, and what was published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runner.guide import blocks, figures, sources
from runner.guide.subject import Subject
from runner.guide.wording import Words
from runner.report import columns
from runner.report.markdown import escaped


def results(subject: Subject) -> Iterator[str]:
    """Yield the tables of measured and of published figures."""
    words, config = subject.words, subject.config
    yield blocks.section(words, "results")
    yield from _measured(subject)
    published = config.model.published
    if not published:
        return
    yield f"## {words['published_figures']}"
    performance = figures.published_performance(words, published)
    accuracy = figures.published_accuracy(words, published, subject.meanings)
    yield from _tables(words, performance, accuracy)
    notes = [words["misprint"]] if performance and any(row.misprint for row in published) else []
    if performance and any(row.soc == "310" and row.samples_per_second for row in published):
        notes.append(words["published_310"])
    told = words["semicolon"].join(map(escaped, sources.places(published, subject.language)))
    link = f"{words['comma']}<{config.model.guide.url}>" if config.model.guide.url else ""
    yield blocks.items([*notes, f"{words['sources']}{told}{link}"])


def _measured(subject: Subject) -> Iterator[str]:
    words, config, measured = subject.words, subject.config, subject.measured
    if not measured:
        yield words["no_results"].format(soc=config.soc.name)
        return
    yield f"## {words['measured_figures'].format(soc=config.soc.name, tool=config.tool.name)}"
    yield from _tables(
        words,
        figures.measured_performance(words, measured, config.model.published),
        figures.measured_accuracy(words, measured, {**subject.meanings, **columns.meanings(measured)}),
    )


def _tables(words: Words, performance: Sequence[str], accuracy: Sequence[str]) -> Iterator[str]:
    for title, lines in (("performance", performance), ("accuracy", accuracy)):
        if lines:
            yield f"### {words[title]}"
            yield "\n".join(lines)
