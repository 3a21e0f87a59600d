"""Tools on another host, through this machine's own ssh and sftp: with keys only, and only on hosts whose key is known.

    ~/.cache/model-zoo-runner/files/<sha256>   what was sent; it is kept, and not sent again
    ~/.cache/model-zoo-runner/runs/<id>/       a call: hard links to those files at their paths here, and the results

The other host needs sshd with sftp, bash and sha256sum. A path here is `<root><path>` there, `<root>` being the call's
folder; ssh's own configuration file says which port, user and key belong to a name.
"""

from __future__ import annotations

import functools
import json
import re
import shlex
import signal
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from runner.core import Finished, Problem, ToolError, process, sha256_of
from runner.tools import command_line

FOLDER = ".cache/model-zoo-runner"
"""Below the home folder of the other host's user."""
ASKING_SECONDS = 60.0
_LOST = 255
"""Exit status of ssh and sftp without a connection."""
_SSH = (
    *("-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"),
    *("-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"),
)
_ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")
_NOT_WHOLE = re.compile(r"^([0-9a-f]{64}): FAILED( open or read)?\s*$", re.MULTILINE)
_ROOT = re.compile(r"^root (/.*?)\s*$", re.MULTILINE)

# Makes the folders of a call, and tells which of the files named by their SHA-256 sums, listed on stdin, are not whole.
_PREPARE = f"""
umask 077
id=$1
shift
cd && mkdir -p {FOLDER}/files {FOLDER}/runs && cd {FOLDER} || exit 1
find runs -mindepth 1 -maxdepth 1 -mtime +1 -exec rm -rf {{}} +
mkdir "runs/$id" && cd "runs/$id" && mkdir -p -- "$@" && echo "root $(pwd -P)" || exit 1
cd ../../files && {{ sha256sum --check --quiet - 2>/dev/null || true; }}
"""
# Removes the files listed on stdin that have other sums, and names them.
_ACCEPT = f"""
cd && cd {FOLDER}/files || exit 1
digests=$(cat)
cut -c1-64 <<<"$digests" | xargs chmod 600
sha256sum --check --quiet - <<<"$digests" 2>/dev/null | while IFS=: read -r digest verdict; do
    rm -f -- "$digest"
    echo "$digest:$verdict"
done
"""
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
_REMOVE = f'cd && rm -rf -- {FOLDER}/runs/"$1"'


@dataclass(frozen=True)
class Host:
    """Another host: its `address` as ssh takes it, and CANN's environment scripts there, of which the first is sourced.

    They are sourced where ASCEND_HOME_PATH is not set.
    """

    address: str
    scripts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of a call, as absolute paths here: what is `sent`, files or folders, and the `folder` that it runs in.

    What it writes there is fetched.
    """

    sent: tuple[Path, ...]
    folder: Path


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
        ask(host, ("sha256sum", "--version"))
    except ToolError as error:
        return [error.problem]
    return []


@functools.lru_cache(maxsize=32)
def ask(host: Host, argv: tuple[str, ...]) -> str:
    """Return what a short command says on the other host, with CANN's environment; it is run once in this process.

    Raises:
        ToolError: there is no connection, or the command fails.
    """
    finished = _step(
        host, _ssh(host, _RUN, "/", *host.scripts, "--", *argv), "preflight", "ssh-preflight", ASKING_SECONDS
    )
    finished = replace(finished, argv=("ssh", host.address, *argv))
    return _ended_well(host, "preflight", finished, argv[0]).log.read_text(errors="replace")


def run(host: Host, argv: Sequence[str], files: Files, *, stage: str, name: str, timeout_seconds: float) -> Finished:
    """Run a command with local paths on the other host: send what it lacks, run, and fetch what it wrote.

    Raises:
        ToolError: the connection cannot be made or is lost, a file arrives damaged, or the command hangs or fails.
    """
    call = uuid.uuid4().hex[:12]

    def step(argv: Sequence[str], name: str, stdin: str = "") -> Finished:
        return _step(host, argv, stage, name, timeout_seconds, stdin)

    def sftp(commands: str, name: str) -> None:
        with _file(commands) as batch:
            _succeeded(host, stage, step(("sftp", *_SSH, "-b", str(batch), "--", host.address), name))

    content = {path: sha256_of(path) for path in _files(files.sent)}
    folders = sorted(str(folder).lstrip("/") for folder in {files.folder, *(path.parent for path in content)})
    prepared = step(_ssh(host, _PREPARE, call, *folders), "ssh-prepare", _sums(content.values()))
    said = _succeeded(host, stage, prepared).log.read_text(errors="replace")
    root, lacking = _root_of(said, host), dict(_NOT_WHOLE.findall(said))
    try:
        sftp(sending(content, lacking, root), "sftp-send")
        if lacking:
            accepted = step(_ssh(host, _ACCEPT), "ssh-accept", _sums(lacking))
            _check_accepted(host, _succeeded(host, stage, accepted))
        there = moved(argv, files, root)
        finished = step(_ssh(host, _RUN, f"{root}{files.folder}", *host.scripts, "--", *there, terminal=True), name)
        finished = _ended_well(host, stage, replace(finished, argv=("ssh", host.address, *there)), argv[0])
        sftp(fetching(files.folder, root), "sftp-fetch")
    finally:
        with suppress(ToolError):  # a lost connection is told already; what is left there goes after a day
            step(_ssh(host, _REMOVE, call), "ssh-remove")
    _rename_paths(files.folder, root)
    return finished


def shown(host: Host, argv: Sequence[str], files: Files) -> list[tuple[str, ...]]:
    """Return the commands of `run` in short, for a dry run: without ssh's options, and what checks digests there."""
    root = f"{FOLDER}/runs/CALL/"
    there = shlex.join(moved(argv, files, ""))
    script = "".join(f"source {shlex.quote(script)}; " for script in host.scripts[:1])
    return [
        ("sftp", "-b", "send.batch", host.address),
        ("ssh", "-tt", host.address, f"cd {root}; {script}{there}"),
        ("sftp", "-b", "fetch.batch", host.address),
    ]


def moved(argv: Sequence[str], files: Files, root: str) -> tuple[str, ...]:
    """Return a command line with `root` before each path of the call's files."""
    paths = sorted(map(str, {*files.sent, files.folder}), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, paths)))
    return tuple(pattern.sub(lambda match: root + match[0], item) for item in argv)


def sending(content: Mapping[Path, str], lacking: Mapping[str, str], root: str) -> str:
    """Return the sftp commands that send what is lacking, by digest, and link each file to its place.

    `lacking` is empty for a digest of which a part is there, from which sending goes on.
    """
    files = f"{root.rpartition('/runs/')[0]}/files"
    lines = []
    for digest, path in {digest: path for path, digest in content.items() if digest in lacking}.items():
        put = "put" if lacking[digest] else "-reput"  # fails on a file that is too long, which is then not accepted
        lines.append(f"{put} {_quoted(path)} {_quoted(f'{files}/{digest}')}")
    lines += [f"ln {_quoted(f'{files}/{digest}')} {_quoted(f'{root}{path}')}" for path, digest in content.items()]
    return "\n".join(lines) + "\n"


def fetching(folder: Path, root: str) -> str:
    """Return the sftp command that fetches a folder to the same path here."""
    return f"get -r {_quoted(f'{root}{folder}')} {_quoted(folder.parent)}\n"


def _ssh(host: Host, script: str, *arguments: str, terminal: bool = False) -> tuple[str, ...]:
    """Return the command that runs a script of bash there; with a `terminal`, it ends when the connection does."""
    command = shlex.join(("bash", "-c", script.strip(), "bash", *arguments))
    return ("ssh", *_SSH, *(["-tt"] if terminal else []), "--", host.address, command)


def _step(host: Host, argv: Sequence[str], stage: str, name: str, timeout_seconds: float, stdin: str = "") -> Finished:
    """Run ssh or sftp. Raises ToolError if there is no connection, or it is lost."""
    try:
        with _file(stdin) as given:
            finished = process.run(argv, stage=stage, name=name, timeout_seconds=timeout_seconds, stdin=given)
    except ToolError as error:
        if signal.SIGPIPE.name not in error.message:
            raise
        raise _no_connection(host, stage, error.message) from error  # it ends sftp when ssh has ended
    if finished.returncode == _LOST:
        raise _no_connection(host, stage, f"{finished.tail}\n    log: {finished.log}")
    return finished


def _no_connection(host: Host, stage: str, said: str) -> ToolError:
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
            return ToolError(f"{stage}: no connection to {host.address}: {said}", fix)
    return ToolError(
        f"{stage}: the connection to {host.address} was lost: {said}",
        "run the same command again: what was sent is still there, and is not sent again",
    )


def _ended_well(host: Host, stage: str, finished: Finished, program: str) -> Finished:
    if finished.returncode == 0:
        return finished
    what = f"{program} failed with exit status {finished.returncode} on {host.address}"
    raise command_line.failed(finished, stage, what)


def _succeeded(host: Host, stage: str, finished: Finished) -> Finished:
    if finished.returncode == 0:
        return finished
    raise command_line.failed(
        finished,
        stage,
        f"{finished.argv[0]} failed with exit status {finished.returncode} on {host.address}",
        f"has it room, sftp, bash and sha256sum? `ssh {host.address} rm -r {FOLDER}` removes what earlier runs sent",
    )


def _root_of(text: str, host: Host) -> str:
    found = _ROOT.search(text)
    if found is None:
        raise ToolError(
            f"{host.address} did not say where its home folder is: {text[:200]!r}", "is bash its login shell?"
        )
    return found[1]


def _check_accepted(host: Host, accepted: Finished) -> None:
    damaged = _NOT_WHOLE.findall(accepted.log.read_text(errors="replace"))
    if damaged:
        raise ToolError(
            f"{len(damaged)} files arrived at {host.address} with other bytes than here, and were removed there",
            "run the same command again: what arrived whole is not sent again",
        )


@contextmanager
def _file(text: str) -> Iterator[Path]:
    """Yield a file of this text, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="ssh-") as folder:
        path = Path(folder, "text")
        path.write_text(text)
        yield path


def _rename_paths(folder: Path, root: str) -> None:
    """Write paths of this host in the place of the other one's, in the JSON files that a tool has written."""
    for path in folder.rglob("*.json"):
        path.write_bytes(path.read_bytes().replace(json.dumps(root)[1:-1].encode(), b""))


def _files(paths: Iterable[Path]) -> list[Path]:
    """Return the files among the paths and in folders among them."""
    return [
        file
        for path in paths
        for file in (sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path])
    ]


def _sums(digests: Iterable[str]) -> str:
    """Return a list for `sha256sum --check` of files that are named by their digests."""
    return "".join(f"{digest}  {digest}\n" for digest in dict.fromkeys(digests))


def _quoted(path: Path | str) -> str:
    """Return a path as sftp's batches take it."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
