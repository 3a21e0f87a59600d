"""Hosts that can be reached by ssh, and those that cannot: an sshd on 127.0.0.1."""

from __future__ import annotations

import shutil

import pytest

from runner.tools import ssh
from runner.tools.ssh import Host

BOARD = Host("board")


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> None:
    ssh.ask.cache_clear()


@pytest.mark.parametrize("address", ["", "-oProxyCommand=x", "user@board:22", "a b", "board;id"])
def test_what_is_no_host_is_told_before_ssh_sees_it(address) -> None:
    (problem,) = ssh.problems(Host(address))
    assert repr(address) in problem.message
    assert "USER@HOST" in problem.fix


def test_a_host_that_nobody_knows_is_told_with_ssh_s_own_words(logs) -> None:
    if shutil.which("sftp") is None:
        pytest.skip("no OpenSSH client here")
    (problem,) = ssh.problems(Host("no-such-host.invalid"))
    assert "no-such-host.invalid" in problem.message
    assert "`ssh no-such-host.invalid` must work" in problem.fix


def test_a_host_whose_key_is_not_known_is_refused(board, tmp_path) -> None:
    (tmp_path / "ssh" / "known_hosts").write_text("")
    (problem,) = ssh.problems(BOARD)
    assert "no connection to board" in problem.message
    assert "compare the key" in problem.fix


def test_a_user_without_the_key_is_refused_without_a_question(board, tmp_path) -> None:
    (tmp_path / "ssh" / "user_key.pub").write_text("")
    (problem,) = ssh.problems(BOARD)
    assert "Permission denied" in problem.message
    assert "ssh-copy-id board" in problem.fix


def test_a_host_that_can_run_tools_has_no_problem(board) -> None:
    assert ssh.problems(BOARD) == []


def test_programs_that_a_host_lacks_are_told(board, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ssh, "NEEDED", ("sha256sum", "no-such-program"))
    (problem,) = ssh.problems(BOARD)
    assert problem.message == "board lacks no-such-program"


def test_the_home_folder_of_a_host_is_told(board) -> None:
    assert ssh.home(BOARD) == str(board.home.resolve())
