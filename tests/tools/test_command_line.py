import sys

import pytest

from runner.core import Placement, ToolError
from runner.tools import command_line

pytestmark = pytest.mark.usefixtures("logs")


def run(code: str, timeout_seconds: float = 30.0) -> None:
    command_line.run([sys.executable, "-c", code], stage="infer", name="tool", timeout_seconds=timeout_seconds)


def test_a_failure_tells_command_log_and_last_lines(tmp_path) -> None:
    with pytest.raises(ToolError) as caught:
        run("print('the reason'); raise SystemExit(3)")
    message = caught.value.message
    assert message.startswith(f"{sys.executable} failed with exit status 3\n")
    assert f"command: {sys.executable} -c " in message
    assert f"log: {tmp_path / 'logs' / 'tool.log'}" in message
    assert "| the reason" in message


def test_a_program_given_as_text_is_told_by_its_first_line() -> None:
    with pytest.raises(ToolError, match=r"command: \S+ -c 'import sys \.\.\.'\n"):
        run("import sys\nsys.exit(3)")


def test_a_time_out_tells_the_command() -> None:
    with pytest.raises(ToolError, match=r"(?s)^[^:]+ was still running after 0.2 seconds.*command: .*sleep"):
        run("import time; time.sleep(60)", timeout_seconds=0.2)


@pytest.mark.parametrize(
    ("printed", "fix"),
    [
        ("[ERROR] acl open device 9 failed", "device=N"),
        ("[ERROR] load model from file failed, model file is m.om", "built for another SoC"),
        ("ModuleNotFoundError: No module named 'tqdm'", "tool.python"),
        ("error: unrecognized arguments: --warmup_count 3", "install a later one"),
        ("[ERROR] The file m.om is group writable, or is others writable", "chmod go-w"),
    ],
)
def test_what_the_tools_print_becomes_a_fix(printed, fix) -> None:
    with pytest.raises(ToolError) as caught:
        run(f"print({printed!r}); raise SystemExit(1)")
    assert fix in caught.value.fix


def test_a_card_of_four_chips_counts_four_times() -> None:
    placement = Placement(soc="310", kind="ascend", devices=(0,), chips=4)
    assert command_line.chips_reported(placement) == 4
    assert "1 of the card's 4 chips measured" in command_line.chips_note(placement)


def test_a_whole_card_that_was_measured_is_not_counted_again() -> None:
    assert command_line.chips_reported(Placement(soc="310", kind="ascend", devices=(0, 1, 2, 3), chips=4)) == 4


def test_two_cards_add_up() -> None:
    assert command_line.chips_reported(Placement(soc="310P3", kind="ascend", devices=(0, 1))) == 2


def test_the_error_above_much_output_is_shown_without_a_traceback() -> None:
    with pytest.raises(ToolError) as caught:
        run("print('[ERROR] the cause\\n' + 'noise\\n' * 20, flush=True); raise RuntimeError('at last')")
    quoted = [line.strip() for line in caught.value.message.splitlines() if "| " in line]
    assert (quoted[0], quoted[-1], len(quoted)) == ("| [ERROR] the cause", "| RuntimeError: at last", 10)
