"""The previews of runs on the page."""

from pathlib import Path

import pytest
from PIL import Image

from runner.report import __main__ as report
from runner.report import previews
from tests.report.test_html_page import Page


@pytest.fixture
def page(write_result, tmp_path):
    """Write the report of a run with this preview; returns its page."""

    def write(name: str = "preview.png", size: tuple[int, int] = (64, 32), content: bytes | None = None) -> str:
        file = write_result("run").with_name(name)
        if content is None:
            Image.new("RGB", size, "red").save(file)
        else:
            file.write_bytes(content)
        assert report.main([str(tmp_path)]) == 0
        return (tmp_path / "report.html").read_text()

    return write


@pytest.mark.parametrize("name", ["preview.png", "grid.png"])
def test_a_preview_is_in_the_page_of_its_run(page, name: str) -> None:
    html = page(name)
    summary = "<summary>Preview, dcgan on 310P3 with ais_bench, batch 1, noise</summary>"
    assert f'<details>{summary}<img src="data:image/jpeg;base64,' in html
    assert 'alt="Samples with the outputs of dcgan on 310P3 with ais_bench, batch 1, noise"' in html
    assert 'width="64" height="32"' in html
    assert Page(html).open == []


def test_a_large_preview_is_scaled_down(page) -> None:
    assert 'width="960" height="480"' in page(size=(3000, 1500))


def test_a_preview_that_cannot_be_read_is_named_with_the_reason(page) -> None:
    html = page(content=b"\x89PNG\r\n\x1a\n half <b>")
    assert "run/preview.png (it cannot be read:" in Page(html).text
    assert "<img" not in html


def test_pictures_beyond_the_limit_are_named_by_path(write_result, tmp_path, monkeypatch) -> None:
    for batch in (1, 4):
        Image.new("RGB", (64, 32)).save(write_result(f"run{batch}", batch=batch).with_name("preview.png"))
    monkeypatch.setattr(previews, "TOTAL_BYTES", 1000)
    report.main([str(tmp_path)])
    html = (tmp_path / "report.html").read_text()
    assert html.count("<img") == 1
    assert f"{Path('run4') / 'preview.png'} (the pictures of this page are limited" in html
