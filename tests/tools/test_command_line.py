import sys
from pathlib import Path

import pytest

from runner.errors import ToolError
from runner.tools import MeasuringLimits, Placement, command_line

pytestmark = pytest.mark.usefixtures("logs")
LIMITS = MeasuringLimits(warmup=3, min_iterations=10, min_seconds=1.0, max_seconds=5.0)


def run(code: str, timeout_seconds: float = 30.0) -> None:
    command_line.run([sys.executable, "-c", code], stage="infer", name="tool", timeout_seconds=timeout_seconds)


def test_a_failure_tells_stage_command_log_and_last_lines(tmp_path) -> None:
    with pytest.raises(ToolError) as caught:
        run("print('the reason'); raise SystemExit(3)")
    message = caught.value.message
    assert message.startswith("infer: ")
    assert "failed with exit status 3" in message
    assert f"command: {sys.executable} -c " in message
    assert f"log: {tmp_path / 'logs' / 'tool.log'}" in message
    assert "| the reason" in message


def test_a_time_out_tells_stage_and_command() -> None:
    with pytest.raises(ToolError, match=r"(?s)infer: .*still running after 0.2 seconds.*command: .*sleep"):
        run("import time; time.sleep(60)", timeout_seconds=0.2)


@pytest.mark.parametrize(
    ("printed", "fix"),
    [
        ("[ERROR] acl open device 9 failed", "device=N"),
        ("[ERROR] load model from file failed, model file is m.om", "built for another SoC"),
        ("ModuleNotFoundError: No module named 'tqdm'", "tool.python"),
        ("error: unrecognized arguments: --warmup_count 3", "install a later one"),
    ],
)
def test_what_the_tools_print_becomes_a_fix(printed, fix) -> None:
    with pytest.raises(ToolError) as caught:
        run(f"print({printed!r}); raise SystemExit(1)")
    assert fix in caught.value.fix


def test_a_measurement_that_was_long_enough_is_not_repeated() -> None:
    asked = []
    reasons = command_line.long_enough(lambda n: asked.append(n) or (n, 2.0), LIMITS, 1000)
    assert (asked, reasons) == ([1000], ())


def test_a_measurement_that_was_too_short_is_repeated_once_with_more_calls() -> None:
    asked = []
    reasons = command_line.long_enough(lambda n: asked.append(n) or (n, 1.0), LIMITS, 20)
    assert (asked, reasons) == ([20, 1500], ())


def test_no_more_calls_are_asked_for_than_the_time_allows() -> None:
    assert command_line.more_loops(MeasuringLimits(0, 1, 60.0, 2.0), 10, 1.0) == 2000


def test_a_measurement_that_stays_too_short_does_not_count() -> None:
    reasons = command_line.long_enough(lambda n: (n, 0.01 if n > 20 else 1.0), LIMITS, 20)
    assert reasons == ("too short: 0.015 of 1 seconds",)


def test_a_card_of_four_chips_counts_four_times() -> None:
    placement = Placement("310", "ascend", (0,), chips=4)
    assert command_line.chips_told(placement) == 4
    assert "1 of the card's 4 chips measured" in command_line.chips_note(placement)


def test_a_whole_card_that_was_measured_is_not_counted_again() -> None:
    assert command_line.chips_told(Placement("310", "ascend", (0, 1, 2, 3), chips=4)) == 4


def test_two_cards_add_up() -> None:
    assert command_line.chips_told(Placement("310P3", "ascend", (0, 1))) == 2


@pytest.fixture
def no_cann(monkeypatch) -> None:
    monkeypatch.delenv("ASCEND_HOME_PATH", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def test_cann_is_taken_as_it_is_set_up(monkeypatch) -> None:
    monkeypatch.setenv("ASCEND_HOME_PATH", "/somewhere")
    assert command_line.cann_environment("/nonexistent/set_env.sh")["ASCEND_HOME_PATH"] == "/somewhere"


def test_a_tools_lines_reach_the_log_as_they_are_printed(monkeypatch) -> None:
    monkeypatch.setenv("ASCEND_HOME_PATH", "/somewhere")
    assert command_line.cann_environment("/nonexistent/set_env.sh")["PYTHONUNBUFFERED"] == "1"


def test_canns_script_is_sourced_where_it_is_not_set_up(no_cann, tmp_path) -> None:
    script = tmp_path / "set_env.sh"
    script.write_text("export ASCEND_HOME_PATH=/from/script\n")
    assert command_line.cann_environment(str(script))["ASCEND_HOME_PATH"] == "/from/script"


def test_no_cann_at_all_is_an_error_with_a_fix(no_cann, tmp_path) -> None:
    with pytest.raises(ToolError, match="CANN is not set up") as caught:
        command_line.cann_environment(str(Path(tmp_path) / "set_env.sh"))
    assert "tool.environment_script" in caught.value.fix


def test_the_error_above_much_output_is_shown_without_a_traceback() -> None:
    with pytest.raises(ToolError) as caught:
        run("print('[ERROR] the cause\\n' + 'noise\\n' * 20, flush=True); raise RuntimeError('at last')")
    quoted = [line.strip() for line in caught.value.message.splitlines() if "| " in line]
    assert (quoted[0], quoted[-1], len(quoted)) == ("| [ERROR] the cause", "| RuntimeError: at last", 10)
