"""Commands on another host: an sshd on 127.0.0.1, and the pure parts without one."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from runner.core import ToolError, process
from runner.tools import remote
from runner.tools.remote import Files
from runner.tools.ssh import Host

ROOT = "/home/u/.cache/model-zoo-runner/runs/1"
BOARD = Host("board")


def call(work: Path, **contents: bytes) -> Files:
    """Files of these contents in a folder to be sent, and an empty folder to run in."""
    for folder in ("sent", "results"):
        (work / folder).mkdir(exist_ok=True)
    for name, content in contents.items():
        (work / "sent" / name).write_bytes(content)
    return Files(sent=(work / "sent",), folder=work / "results")


def run(files: Files, *argv: object, host: Host = BOARD, timeout_seconds: float = 60) -> process.Finished:
    return remote.run(host, list(map(str, argv)), files, stage="infer", name="tool", timeout_seconds=timeout_seconds)


def sent_in(logs: Path) -> list[str]:
    """What sftp says that it does, in the logs so far, without links."""
    texts = [path.read_text() for path in sorted(logs.glob("sftp-send*.log"), key=lambda path: path.stat().st_mtime)]
    return [line for text in texts for line in text.splitlines() if "put " in line]


# --- without a host --------------------------------------------------------------------------------------------------


def test_paths_of_the_call_are_moved_wherever_they_stand_in_an_argument() -> None:
    files = Files(sent=(Path("/w/m.om"), Path("/w/in/0"), Path("/w/in/1")), folder=Path("/w/out"))
    argv = remote.moved(("tool", "--model=/w/m.om", "--input", "/w/in/0,/w/in/1", "--output", "/w/out"), files, ROOT)
    assert argv == (
        *("tool", f"--model={ROOT}/w/m.om", "--input", f"{ROOT}/w/in/0,{ROOT}/w/in/1"),
        *("--output", f"{ROOT}/w/out"),
    )


def test_only_what_is_lacking_is_sent_and_a_part_is_gone_on_from() -> None:
    content = {Path("/w/a"): "1" * 64, Path("/w/b"): "2" * 64, Path("/w/c"): "3" * 64}
    lines = remote.sending(content, {"2" * 64: "", "3" * 64: " open or read"}, ROOT).splitlines()
    store = "/home/u/.cache/model-zoo-runner/files"
    assert lines == [
        f'-reput "/w/b" "{store}/{"2" * 64}"',
        f'put "/w/c" "{store}/{"3" * 64}"',
        *(f'ln "{store}/{digit * 64}" "{ROOT}/w/{name}"' for digit, name in ("1a", "2b", "3c")),
    ]


def test_two_files_of_one_content_are_sent_once() -> None:
    content = {Path("/w/a"): "1" * 64, Path("/w/b"): "1" * 64}
    lines = remote.sending(content, {"1" * 64: " open or read"}, ROOT).splitlines()
    assert [line.split()[0] for line in lines] == ["put", "ln", "ln"]


# --- with one --------------------------------------------------------------------------------------------------------


def test_a_command_reads_what_was_sent_and_its_results_come_back(board, work) -> None:
    files = call(work, a=b"alpha")
    run(files, "cp", work / "sent" / "a", work / "results" / "b")
    assert (work / "results" / "b").read_bytes() == b"alpha"


def test_paths_in_a_summary_are_those_of_this_host(board, work) -> None:
    files = call(work, a=b"1")
    run(
        files, "sh", "-c", f'echo "{{\\"out\\": \\"$1\\"}}" > {work}/results/summary.json', "sh", work / "results" / "b"
    )
    assert (work / "results" / "summary.json").read_text() == f'{{"out": "{work}/results/b"}}\n'


def test_what_is_there_is_not_sent_again(board, work, tmp_path) -> None:
    run(call(work, a=b"alpha", b=b"beta"), "true")
    assert len(sent_in(tmp_path / "logs")) == 2
    run(call(work, c=b"alpha", d=b"delta"), "true")
    assert len(sent_in(tmp_path / "logs")) == 3
    assert len(board.files) == 3


def test_a_file_that_was_damaged_there_is_sent_again(board, work) -> None:
    files = call(work, a=b"alpha")
    run(files, "true")
    board.files[0].write_bytes(b"alp")
    run(files, "cp", work / "sent" / "a", work / "results" / "b")
    assert (work / "results" / "b").read_bytes() == b"alpha"


def test_a_file_that_cannot_be_mended_is_removed_and_told(board, work) -> None:
    files = call(work, a=b"alpha")
    run(files, "true")
    board.files[0].write_bytes(b"other bytes, and more of them")
    with pytest.raises(ToolError, match="arrived at board with other bytes") as raised:
        run(files, "true")
    assert "not sent again" in raised.value.fix
    assert board.files == []
    run(files, "true")


def test_only_the_user_there_may_write_the_files(board, work) -> None:
    files = call(work, a=b"alpha")
    (work / "sent" / "a").chmod(0o666)
    run(files, "true")
    assert board.files[0].stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_of_a_call_but_what_was_sent(board, work) -> None:
    run(call(work, a=b"alpha"), "true")
    assert list((board.home / ".cache/model-zoo-runner/runs").iterdir()) == []


def test_odd_characters_in_arguments_arrive_as_they_are(board, work) -> None:
    odd = "a 'b' \"c\" $(id) `id` ; * \\ é"
    run(call(work, a=b"1"), "sh", "-c", f'printf %s "$1" > {work}/results/said', "sh", odd)
    assert (work / "results" / "said").read_text() == odd


def test_cann_is_sourced_there_where_it_is_not_set_up(board, work, tmp_path) -> None:
    (tmp_path / "set_env.sh").write_text("export ASCEND_HOME_PATH=/there\n")
    host = Host("board", ("/no/such/set_env.sh", str(tmp_path / "set_env.sh")))
    run(call(work, a=b"1"), "sh", "-c", f"echo $ASCEND_HOME_PATH > {work}/results/home", host=host)
    assert (work / "results" / "home").read_text() == "/there\n"


def test_a_command_that_fails_is_told_with_its_words_and_host(board, work) -> None:
    with pytest.raises(ToolError) as raised:
        run(call(work, a=b"1"), "sh", "-c", "echo '[ERROR] no such device'; exit 3")
    assert "sh failed with exit status 3 on board" in raised.value.message
    assert "[ERROR] no such device" in raised.value.message
    assert "ssh board sh -c" in raised.value.message


def test_a_line_that_breaks_while_the_tool_runs_is_one_message_and_ends_the_tool(board, work) -> None:
    files = call(work, a=b"alpha")
    pid_file = board.home / "pid"

    def hang_up() -> None:
        while not pid_file.exists() or not pid_file.read_text():
            time.sleep(0.02)
        board.hang_up()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(ToolError, match="the connection to board was lost") as raised:
        run(files, "sh", "-c", f"echo $$ > {pid_file}; exec sleep 60")
    thread.join()
    assert "not sent again" in raised.value.fix
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid_file.read_text().strip()}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()


def test_a_line_that_breaks_while_a_file_is_sent_is_gone_on_from(board, work, tmp_path) -> None:
    content = os.urandom(4_000_000)
    files = call(work, a=content)
    sftp = Path(shutil.which("sftp"))
    quick = sftp.read_text()
    sftp.write_text(quick.replace(" -F ", " -l 8000 -F "))  # 1 MB a second

    def hang_up() -> None:
        while not board.files or board.files[0].stat().st_size < 500_000:
            time.sleep(0.02)
        board.hang_up()

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(ToolError, match="the connection to board was lost"):
        run(files, "true")
    thread.join()
    there = board.files[0].stat().st_size
    assert 0 < there < len(content)
    sftp.write_text(quick)
    run(files, "cp", work / "sent" / "a", work / "results" / "b")
    assert (work / "results" / "b").read_bytes() == content
    assert sent_in(tmp_path / "logs")[-1].startswith("sftp> -reput")


def test_a_tool_that_hangs_is_ended_there_too(board, work) -> None:
    pid_file = board.home / "pid"
    with pytest.raises(ToolError, match="still running after 2 seconds"):
        run(call(work, a=b"1"), "sh", "-c", f"echo $$ > {pid_file}; exec sleep 60", timeout_seconds=2)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid_file.read_text().strip()}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()
