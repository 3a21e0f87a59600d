from __future__ import annotations

import pytest

from runner.core import process_output
from tests.core.programs import python

pytestmark = pytest.mark.usefixtures("quick_programs")


def test_a_long_output_keeps_its_beginning_and_its_end_in_a_bounded_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_output, "LOG_HEAD_BYTES", 7 << 20)
    monkeypatch.setattr(process_output, "LOG_TAIL_BYTES", 1 << 20)
    code = """
import sys
sys.stdout.buffer.write(b"first\\n")
for _ in range(25):
    sys.stdout.buffer.write(bytes(range(256)) * 4096)
sys.stdout.buffer.write(b"\\nlast\\n")
"""
    finished = python(code, timeout_seconds=60)

    assert finished.log.stat().st_size <= process_output.LOG_HEAD_BYTES + process_output.LOG_TAIL_BYTES + 100
    content = finished.log.read_bytes()
    assert content.startswith(b"first\n")
    assert content.endswith(b"\nlast\n")
    assert b" bytes cut here by the runner" in content
    assert finished.tail.endswith("last")
    assert len(finished.tail) <= process_output.TAIL_BYTES


def test_an_output_that_fits_is_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_output, "LOG_HEAD_BYTES", 1000)
    monkeypatch.setattr(process_output, "LOG_TAIL_BYTES", 1000)

    finished = python("import sys; sys.stdout.write('x' * 1000 + 'y' * 1000)")

    assert finished.log.read_text() == "x" * 1000 + "y" * 1000


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert python(r"import sys; sys.stdout.buffer.write(b'\xff\xfeok')").tail.endswith("ok")


def test_the_tail_is_the_last_lines() -> None:
    finished = python("for number in range(100): print(number)")

    assert finished.tail.splitlines() == [str(number) for number in range(60, 100)]
