import io

import pytest
from rich.progress import Task

from runner.core import OperatorTime, progress
from runner.pipeline import display
from runner.results import Gate, Latency, Meaning, Performance, Result, WorstFidelity


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


def test_every_line_of_a_labelled_stream_begins_with_the_label() -> None:
    stream = io.StringIO()
    labelled = display.Labelled(stream, "[3 batch=8] ")
    for part in ("simplify ", "ran\ninfer ran\n", "", "score"):
        labelled.write(part)
    assert stream.getvalue() == "[3 batch=8] simplify ran\n[3 batch=8] infer ran\n[3 batch=8] score"


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


def finished(**changes) -> Result:
    """A run of a classifier on 10,000 samples, of which PyTorch computed 256."""
    told = {"status": "ok", "model": "lenet", "soc": "cpu", "tool": "onnxruntime", "batch": 8, "dataset": "mnist"}
    fidelity = {"samples": 256, "top1_agreement": 100.0, "cosine": 1.0, "max_abs": 1e-6, "mean_abs": 1e-7}
    told |= {
        "accuracy": {"top1": 99.0699, "samples": 10000},
        "metrics": {"top1": Meaning("percent", "higher", is_share=True)},
        "fidelity": WorstFidelity(**fidelity, accuracy={"top1": 99.0}, tool_accuracy={"top1": 99.0}),
    }
    return Result(**told | changes)


def rows(printed: str) -> list[str]:
    """The lines of the printed table without its rules."""
    return [" ".join(line.replace("│", " ").split()) for line in printed.splitlines() if "│" in line]


def test_the_samples_that_were_compared_stand_above_what_says_how_close_they_are(capsys) -> None:
    display.summary(finished())
    told = rows(capsys.readouterr().out)
    assert told[told.index("samples 10000") :] == [
        "samples 10000",
        "compared with PyTorch 256 samples",
        "agreement 100.00 %",
        "cosine 1.00000000",
        "largest difference 1.00e-06",
    ]


def test_metrics_that_compare_with_pytorch_are_told_once_and_as_such(capsys) -> None:
    fidelity = WorstFidelity(samples=20, top1_agreement=100.0, cosine=1.0, max_abs=1e-6, mean_abs=1e-7)
    accuracy = {"cosine": 1.0, "agreeing": 100.0, "samples": 20}
    display.summary(
        finished(accuracy=accuracy, fidelity=fidelity, metrics={"agreeing": Meaning("percent", None, True)})
    )
    told = rows(capsys.readouterr().out)
    assert told[told.index("samples 20") + 1 :] == [
        "compared with PyTorch 20 samples",
        "cosine 1",
        "agreeing 100.00 %",
        "largest difference 1.00e-06",
    ]


def test_a_gate_tells_its_tolerance(capsys) -> None:
    gate = Gate(name="accuracy.top1", measured=99.0699, expected=99.9, tolerance=1.0, verdict="pass")
    display.summary(finished(gates=(gate,)))
    assert capsys.readouterr().out.splitlines()[-1] == "pass top1 99.07 (published 99.9, at most 1.0 below)"


def test_the_slowest_operators_are_a_table_of_their_own(capsys) -> None:
    operators = (OperatorTime(name="[conv1]", type="Conv", mean_ms=1.25, percent=62.5),)
    display.summary(
        Result(
            status="ok",
            model="dqn",
            soc="cpu",
            tool="onnxruntime",
            batch=1,
            performance=Performance(samples_per_second=1.0, latency_ms=Latency(mean=1.0), operators=operators),
        )
    )
    words = capsys.readouterr().out.replace("\u2502", " ").split()
    assert "[conv1] Conv 1.250 62.5 %" in " ".join(words)
