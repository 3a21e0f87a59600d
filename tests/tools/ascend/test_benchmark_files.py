from pathlib import Path

import pytest

from runner.core import ToolError
from runner.tools.ascend import _benchmark_files as benchmark_files

# as in the guides of the zoo
PERF_VISION = """[e2e] throughputRate: 243.034, latency: 205733
[data read] throughputRate: 258.963, moduleLatency: 3.86155
[preprocess] throughputRate: 258.404, moduleLatency: 3.86991
[infer] throughputRate: 244.435, Interface throughputRate: 382.328, moduleLatency: 3.35758
[post] throughputRate: 244.435, moduleLatency: 4.09107
"""
PURE_INFER = "ave_throughputRate = 310.4samples/s, ave_latency = 3.23ms\n"


def test_an_info_line_is_index_path_width_height() -> None:
    assert benchmark_files.info_lines([Path("/a/b.bin"), Path("/a/c.bin")], 4, 6) == "0 /a/b.bin 6 4\n1 /a/c.bin 6 4\n"


def test_white_space_in_a_path_is_told() -> None:
    with pytest.raises(ToolError, match="cannot name /a b/c"):
        benchmark_files.info_lines([Path("/a b/c.bin")], 4, 6)


def test_the_rate_on_files_is_the_interfaces() -> None:
    assert benchmark_files.interface_rate(PERF_VISION) == 382.328


def test_the_time_on_files_is_that_of_reading_them_too() -> None:
    assert benchmark_files.end_to_end_rate(PERF_VISION) == 243.034


def test_the_rate_of_pure_inference_is_the_average() -> None:
    assert benchmark_files.pure_rate(PURE_INFER) == 310.4


@pytest.mark.parametrize("text", ["", "Interface throughputRate: nan", "ave_throughputRate = 0samples/s"])
def test_a_perf_file_without_a_rate_is_told(text) -> None:
    for parse in (benchmark_files.interface_rate, benchmark_files.pure_rate):
        with pytest.raises(ToolError, match="tells no"):
            parse(text)
