from rich.console import Console

from runner import results
from runner.config.schema import PublishedConfig
from runner.report import terminal

PUBLISHED = {
    "dcgan": (
        PublishedConfig(soc="310P3", batch=1, samples_per_second=200.0, source="row 1"),
        PublishedConfig(soc="310P3", batch=4, samples_per_second=800.0, source="row 2"),
        PublishedConfig(soc="310", batch=1, samples_per_second=0.0, source="row 3"),
    )
}


def shown(renderable: object) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_a_sweeps_table_shows_the_best_batch_and_what_failed(write_result, tmp_path) -> None:
    write_result("0", batch=1, samples_per_second=1.0)
    write_result("1", batch=4, samples_per_second=2.0)
    error = {"stage": "compile", "message": "[bold]no atc\nmore", "fix": ""}
    write_result("2", batch=8, status="failed", performance=None, accuracy=None, error=error)
    text = shown(terminal.render_sweep(results.find([tmp_path]).results, PUBLISHED))
    assert "best batch: 310P3 4" in text
    assert "failed: dcgan on 310P3 with ais_bench, batch 8, noise: compile: [bold]no atc" in text


def test_a_wide_table_is_shown_in_parts(write_result, tmp_path) -> None:
    for soc in ("310", "310P3", "t4"):
        write_result(soc, soc=soc)
    text = shown(terminal.render_sweep(results.find([tmp_path]).results, PUBLISHED))
    assert text.count("dcgan (noise, weights from a file)") > 1
    assert "310P/T4" in text
