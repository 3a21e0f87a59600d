"""The page in a real browser, where there is one."""

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from runner.report import __main__ as report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHONE_PIXELS = 390
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH"),
]


@pytest.fixture
def page(write_result, tmp_path) -> Path:
    for soc in ("310", "310P3", "t4"):
        for batch in (1, 4, 16):
            written = write_result(f"{soc}/{batch}", soc=soc, batch=batch, samples_per_second=100.0 * batch)
    Image.new("RGB", (1600, 800), "red").save(written.with_name("preview.png"))
    assert report.main([str(tmp_path)]) == 0
    return tmp_path / "report.html"


@pytest.fixture
def chromium(tmp_path_factory) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        profile = tmp_path_factory.mktemp("profile")
        argv = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", f"--window-size={PHONE_PIXELS},2000", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout

    return run


def test_the_browser_reads_the_page_as_it_was_meant(page, chromium) -> None:
    dom = chromium("--dump-dom", page.as_uri())
    assert dom.count("<polyline") >= 9
    assert dom.count("<section") == 1
    assert "dcgan (noise, weights from a file)" in dom


def test_the_page_is_no_wider_than_a_phone(page, chromium) -> None:
    probe = "<script>document.title = document.documentElement.scrollWidth <= innerWidth ? 'fits' : 'too wide'</script>"
    page.write_text(page.read_text().replace("</body>", f"{probe}</body>"))
    assert "<title>fits</title>" in chromium("--dump-dom", page.as_uri())


def test_a_phone_shows_it(page, chromium, tmp_path) -> None:
    picture = tmp_path / "phone.png"
    chromium(f"--screenshot={picture}", page.as_uri())
    width, _ = struct.unpack(">II", picture.read_bytes()[16:24])
    assert width == PHONE_PIXELS
    assert picture.stat().st_size > 10_000


def test_a_preview_is_drawn_in_full_width_where_it_is_opened(page, chromium) -> None:
    probe = """<script>const picture = document.querySelector("img"); picture.closest("details").open = true;
      picture.decode().then(() => { document.title = `${picture.naturalWidth} ${picture.complete}
        ${document.documentElement.scrollWidth <= innerWidth}`; });</script>"""
    page.write_text(page.read_text().replace("</body>", f"{probe}</body>"))
    assert "960 true\n        true" in chromium("--virtual-time-budget=5000", "--dump-dom", page.as_uri())
