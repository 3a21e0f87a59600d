import pytest
from rich.progress import Task

from runner.core import progress
from runner.pipeline import display


def task(total: float | None, completed: float, unit: str) -> Task:
    return Task(0, "prepare", total, completed, fields={"unit": unit}, _get_time=lambda: 0.0, _lock=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("total", "completed", "unit", "told"),
    [
        (100.0, 7.0, "images", "7/100 images"),
        (None, 7.0, "samples", "7 samples"),
        (2_000_000.0, 1_500_000.0, "B", "1.5 MB/2.0 MB "),
    ],
)
def test_the_live_line_tells_what_is_done_of_how_much(total, completed, unit, told) -> None:
    assert display.Done().render(task(total, completed, unit)).plain == told


def test_work_that_nobody_shows_is_tracked_all_the_same() -> None:
    with progress.track("prepare", 3, "images") as advance:
        advance(1)


def test_tracked_work_is_shown_and_taken_away() -> None:
    seen = []

    def start(description, total, unit):
        seen.append((description, total, unit))
        return (lambda done: seen.append(done)), (lambda: seen.append("finished"))

    with progress.shown_by(start), progress.track("prepare", 3, "images") as advance:
        advance(2)
    assert seen == [("prepare", 3, "images"), 2, "finished"]


def test_where_stderr_is_no_terminal_there_is_no_live_line(capfd) -> None:
    with display.live(), progress.track("prepare", 3, "images") as advance:
        advance(3)
    assert capfd.readouterr() == ("", "")
