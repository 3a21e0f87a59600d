"""Commands on another host by this machine's own ssh: with keys only, and only on hosts whose key is known.

ssh's own configuration file says which port, user and key belong to a name. The other host needs sshd with sftp, bash,
sha256sum and flock.
"""

from __future__ import annotations

import functools
import re
import shlex
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from runner.core import Finished, Problem, ToolError, process
from runner.tools import command_line

ASKING_SECONDS = 60.0
OPTIONS = (
    *("-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"),
    *("-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"),
)
"""Of ssh and sftp."""
_LOST = 255
"""Exit status of ssh and sftp without a connection."""
_ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")

# Runs a command in a folder; 255 stays ssh's own exit status.
_RUN = """
stty -onlcr 2>/dev/null
umask 077
cd -- "$1" || exit 1
load() { source "$1"; }
while shift && [ "$1" != -- ]; do
    if [ -z "$ASCEND_HOME_PATH" ] && [ -f "$1" ]; then load "$1"; fi
done
shift
export PYTHONUNBUFFERED=1
"$@"
status=$?
[ "$status" -ne 255 ] || status=254
exit "$status"
"""
# Names the programs that are not there.
_LACKING = 'for program; do command -v "$program" >/dev/null || echo "lacks $program"; done'
NEEDED = ("sha256sum", "flock")
_HOME = 'cd && echo "home $(pwd -P)"'


@dataclass(frozen=True)
class Host:
    """Another host: its `address` as ssh takes it, and CANN's environment scripts there, of which the first is sourced.

    They are sourced where ASCEND_HOME_PATH is not set.
    """

    address: str
    scripts: tuple[str, ...] = ()


def problems(host: Host) -> list[Problem]:
    """Return the problem that keeps tools from running there, if any."""
    if not _ADDRESS.fullmatch(host.address):
        return [
            Problem(
                f"tool.host is {host.address!r}, which is no host as ssh takes it",
                "give tool.host=USER@HOST, or a name in ~/.ssh/config, where its port belongs too",
            )
        ]
    missing = [program for program in ("ssh", "sftp") if process.found(program) is None]
    if missing:
        return [Problem(f"tool.host needs {' and '.join(missing)}, not found on the PATH", "install OpenSSH's client")]
    try:
        lacking = re.findall(r"^lacks (\S+)", ask(host, ("bash", "-c", _LACKING, "bash", *NEEDED)), re.MULTILINE)
    except ToolError as error:
        return [error.problem]
    if lacking:
        return [
            Problem(
                f"{host.address} lacks {' and '.join(lacking)}",
                "install there GNU coreutils, which has sha256sum, and util-linux, which has flock",
            )
        ]
    return []


@functools.lru_cache(maxsize=32)
def ask(host: Host, argv: tuple[str, ...]) -> str:
    """Return what `answer` returns; the command is run once in this process.

    Raises:
        ToolError: as in `answer`.
    """
    return answer(host, argv)


def answer(host: Host, argv: Sequence[str]) -> str:
    """Return what a short command says on the other host, with CANN's environment.

    Raises:
        ToolError: there is no connection, or the command fails.
    """
    finished = step(host, in_folder(host, "/", argv), "preflight", "ssh-preflight", ASKING_SECONDS)
    finished = replace(finished, argv=("ssh", host.address, *argv))
    return ended_well(host, finished, argv[0]).log.read_text(errors="replace")


def home(host: Host) -> str:
    """Return the home folder there, without links.

    Raises:
        ToolError: there is no connection.
    """
    return told(host, "home", ask(host, ("bash", "-c", _HOME)))


def told(host: Host, name: str, text: str) -> str:
    """Return the path behind a name, at the beginning of a line of what a script there says.

    Raises:
        ToolError: there is none.
    """
    found = re.search(rf"^{name} (/.*?)\s*$", text, re.MULTILINE)
    if found is None:
        raise ToolError(
            f"{host.address} did not say where its home folder is: {text[:200]!r}", "is bash its login shell?"
        )
    return found[1]


def script(host: Host, text: str, *arguments: str, terminal: bool = False) -> tuple[str, ...]:
    """Return the command that runs a script of bash there; with a `terminal`, it ends when the connection does."""
    command = shlex.join(("bash", "-c", text.strip(), "bash", *arguments))
    return ("ssh", *OPTIONS, *(["-tt"] if terminal else []), "--", host.address, command)


def in_folder(host: Host, folder: str, argv: Sequence[str], *, terminal: bool = False) -> tuple[str, ...]:
    """Return the command that runs another one in a folder there, with CANN's environment."""
    return script(host, _RUN, folder, *host.scripts, "--", *argv, terminal=terminal)


def step(host: Host, argv: Sequence[str], stage: str, name: str, timeout_seconds: float, stdin: str = "") -> Finished:
    """Run ssh or sftp.

    Raises:
        ToolError: there is no connection, it is lost, or the command hangs.
    """
    try:
        with text_file(stdin) as given:
            finished = process.run(argv, stage=stage, name=name, timeout_seconds=timeout_seconds, stdin=given)
    except ToolError as error:
        if signal.SIGPIPE.name not in error.message:
            raise
        raise no_connection(host, error.message) from error  # it ends sftp when ssh has ended
    if finished.returncode == _LOST:
        raise no_connection(host, finished.tail, f"\n    log: {finished.log}")
    return finished


def no_connection(host: Host, said: str, log: str = "") -> ToolError:
    """Return the error of a connection that cannot be made, or is lost."""
    by_hand = f"`ssh {host.address}` must work without a question"
    for sign, fix in (
        ("Host key verification failed", f"connect once by hand, and compare the key with the host's own: {by_hand}"),
        (
            "Permission denied",
            f"give it your public key, by which alone the runner logs in: ssh-copy-id {host.address}",
        ),
        ("Could not resolve", f"correct tool.host, or name it in ~/.ssh/config: {by_hand}"),
        ("connect to host", f"is it on, and is that its port (~/.ssh/config)? {by_hand}"),
    ):
        if sign in said:
            return ToolError(f"no connection to {host.address}: {said}", fix)
    return ToolError(
        f"the connection to {host.address} was lost: {said}{log}",
        "run the same command again: what was sent is still there, and is not sent again",
    )


def ended_well(host: Host, finished: Finished, program: str, fix: str = "") -> Finished:
    """Return a finished command if its exit status is 0.

    Raises:
        ToolError: it is another.
    """
    if finished.returncode == 0:
        return finished
    what = f"{program} failed with exit status {finished.returncode} on {host.address}"
    raise command_line.failed(finished, what, fix)


@contextmanager
def text_file(text: str) -> Iterator[Path]:
    """Yield a file of this text, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="ssh-") as folder:
        path = Path(folder, "text")
        path.write_text(text)
        yield path
