from html.parser import HTMLParser

import pytest

from runner.report import __main__ as report
from runner.report import charts
from runner.report.charts import Line

VOID = ("meta", "br", "hr", "img", "link", "input")


class Page(HTMLParser):
    """Collects tags and what they refer to; fails on one that is closed out of turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def html(write_result, make_gate, tmp_path) -> str:
    """The page of results whose every word tries to be markup."""
    bad = "<script>alert(1)</script>\"'&"
    gates = [make_gate(f"accuracy.{bad}", verdict, 1.0, 2.0, bad) for verdict in ("pass", "fail", "skip")]
    commands = [{"stage": bad, "argv": ["atc", bad]}]
    for batch in (1, 4, 16):
        write_result(f"bad{batch}", model=bad, soc=bad, batch=batch, gates=gates, commands=commands, reasons=[bad])
        write_result(f"dcgan{batch}", batch=batch, samples_per_second=100.0 * batch)
    error = {"stage": bad, "message": bad, "fix": bad}
    write_result("failed", tool=bad, status="failed", error=error, performance=None, accuracy=None)
    (tmp_path / "<b>half").mkdir()
    (tmp_path / "<b>half" / "result.json").write_text("{")
    assert report.main([str(tmp_path)]) == 0
    return (tmp_path / "report.html").read_text()


def test_the_tags_are_balanced(html) -> None:
    assert Page(html).open == []


def test_nothing_that_a_result_says_becomes_markup(html) -> None:
    tags = set(Page(html).tags)
    assert not tags & {"script", "b", "img", "iframe"}
    assert "<script>alert(1)</script>" in Page(html).text


def test_the_page_needs_no_network(html) -> None:
    page = Page(html)
    assert all(reference.startswith("#") for reference in page.references)
    assert not {"link", "script", "iframe", "object", "embed", "img"} & set(page.tags)
    assert "url(" not in html
    assert "@import" not in html


def test_the_page_fits_a_phone_and_the_dark(html) -> None:
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "prefers-color-scheme: dark" in html
    assert "overflow-x: auto" in html


def test_the_slowest_operators_of_a_profile_are_told(write_result, result_content, tmp_path) -> None:
    performance = result_content()["performance"]
    operators = [{"name": "<b>conv1", "type": "Conv2D", "mean_ms": 1.25, "percent": 62.5}]
    write_result("profiled", performance={**performance, "operators": operators})
    report.main([str(tmp_path)])
    text = Page((tmp_path / "report.html").read_text()).text
    assert "Slowest operators, " in text
    assert "<b>conv1Conv2D1.25062.5 %" in text


def test_verdicts_are_told_in_words_beside_the_colour(html) -> None:
    for verdict, told in (("pass", "✓ pass"), ("fail", "✗ fail"), ("skip", "○ skip")):
        assert f'<span class="verdict {verdict}">{told}</span>' in html


def test_throughput_and_latency_are_drawn_with_the_published_line(html) -> None:
    text = Page(html).text
    assert "Throughput (samples/s" in text
    assert "Latency (ms)" in text
    assert "310P3 ais_bench" in text
    assert "310P3 published" in text
    assert "310P3 published, batch 1: 7573.25 samples/s" in text


def test_environment_and_commands_are_told(html) -> None:
    text = Page(html).text
    assert "Python 3.11.7, torch 2.0" in text
    assert "atc --framework=5 '--model=a b.onnx'" in text


def test_a_chart_without_points_is_nothing() -> None:
    assert (
        charts.chart("Throughput", "samples/s", [Line("a", (), 0), Line("b", ((1, float("nan")), (2, 0.0)), 1)]) == ""
    )


def test_a_chart_of_one_point_has_its_axes() -> None:
    drawn = charts.chart("Throughput", "samples/s", [Line("a", ((4, 10.0),), 0)])
    assert 'text-anchor="middle">4</text>' in drawn
    assert "nan" not in drawn


def test_doubling_the_batch_is_always_as_wide() -> None:
    drawn = charts.chart("T", "u", [Line("a", ((1, 1.0), (2, 1.0), (4, 1.0)), 0)])
    points = drawn.split('points="')[1].split('"')[0].split()
    first, second, third = (float(point.split(",")[0]) for point in points)
    assert second - first == pytest.approx(third - second, abs=0.11)


def test_values_far_apart_are_drawn_on_a_logarithmic_axis() -> None:
    drawn = charts.chart("Throughput", "samples/s", [Line("cpu", ((1, 10.0),), 0), Line("card", ((1, 9e4),), 1)])
    assert "(samples/s, logarithmic)" in drawn


def test_the_vertical_axis_starts_at_zero_otherwise() -> None:
    drawn = charts.chart("Throughput", "samples/s", [Line("a", ((1, 90.0), (2, 100.0)), 0)])
    assert 'text-anchor="end">0</text>' in drawn


def test_the_page_begins_with_counts_and_failures(html) -> None:
    start = html.index("results: 7, 6 of them in the tables; gates: 6 pass, 3 fail, 3 skip; failed runs: 1")
    assert start < html.index("Runs that failed</a>") < html.index('<section id="failed">') < html.index('id="s0"')


def test_skipped_gates_are_folded(html) -> None:
    assert "<details><summary>Skipped gates: 3</summary>" in html


def test_points_of_measurements_that_are_not_valid_are_hollow_and_not_joined() -> None:
    drawn = charts.chart("T", "u", [Line("a", ((1, 10.0),), 0, apart=((4, 99.0),))])
    assert drawn.split('points="')[1].split('"')[0].count(",") == 1
    assert '<circle class="hollow"' in drawn
    assert "a, batch 4: 99 u, not valid" in drawn


def test_figures_of_a_job_that_ran_again_are_drawn_over_time(write_result, tmp_path) -> None:
    for day in (1, 2, 3):
        performance = {"samples_per_second": 100.0 * day, "measured_at": f"2026-11-0{max(day, 2)}T12:00:00+00:00"}
        environment = {"packages": {"torch": f"2.{day}"}}
        created = f"2026-11-0{day}T13:00:00+00:00"
        write_result(str(day), created=created, performance=performance, environment=environment)
    assert report.main([str(tmp_path)]) == 0
    text = Page((tmp_path / "report.html").read_text()).text
    assert "Over time" in text
    assert "310P3 ais_bench batch 1, 2026-11-03 12:00: 300 samples/s" in text
    assert "310P3 ais_bench batch 1, 2026-11-01 13:00: 100 %" in text


def test_a_job_that_ran_once_has_no_history(html) -> None:
    assert "Over time" not in html


def test_a_chart_over_time_spans_the_values() -> None:
    drawn = charts.over_time("top1", "%", [Line("a", ((1e9, 75.1), (1.1e9, 75.3)), 0)])
    assert 'text-anchor="end">75.1</text>' in drawn
    assert 'text-anchor="end">0</text>' not in drawn
