"""Tools on another host: what they read is sent by sftp, and what they write is fetched.

    ~/.cache/model-zoo-runner/files/<sha256>   what was sent; it is kept, and not sent again
    ~/.cache/model-zoo-runner/runs/<id>/       a call: hard links to those files at their paths here, and the results

A path here is `<root><path>` there, `<root>` being the call's folder.
"""

from __future__ import annotations

import json
import re
import shlex
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from runner.core import Finished, ToolError, sha256_of
from runner.tools import ssh
from runner.tools.ssh import Host

FOLDER = ".cache/model-zoo-runner"
"""Below the home folder of the other host's user."""
_NOT_WHOLE = re.compile(r"^([0-9a-f]{64}): FAILED( open or read)?\s*$", re.MULTILINE)

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
_REMOVE = f'cd && rm -rf -- {FOLDER}/runs/"$1"'
_ID_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class Files:
    """The files of a call, as absolute paths here: what is `sent`, files or folders, and the `folder` that it runs in.

    What it writes there is fetched.
    """

    sent: tuple[Path, ...]
    folder: Path


def work_folder(host: Host, folder: Path) -> Path:
    """Return where a folder of this host lies on the other one during a call, with zeros for the call's id.

    Raises:
        ToolError: there is no connection.
    """
    return Path(f"{ssh.home(host)}/{FOLDER}/runs/{'0' * _ID_DIGITS}{folder}")


def run(host: Host, argv: Sequence[str], files: Files, *, stage: str, name: str, timeout_seconds: float) -> Finished:
    """Run a command with local paths on the other host: send what it lacks, run, and fetch what it wrote.

    Raises:
        ToolError: the connection cannot be made or is lost, a file arrives damaged, or the command hangs or fails.
    """
    call = uuid.uuid4().hex[:_ID_DIGITS]

    def step(argv: Sequence[str], name: str, stdin: str = "") -> Finished:
        return ssh.step(host, argv, stage, name, timeout_seconds, stdin)

    def sftp(commands: str, name: str) -> None:
        with ssh.text_file(commands) as batch:
            _succeeded(host, step(("sftp", *ssh.OPTIONS, "-b", str(batch), "--", host.address), name))

    content = {path: sha256_of(path) for path in _files(files.sent)}
    folders = sorted(str(folder).lstrip("/") for folder in {files.folder, *(path.parent for path in content)})
    prepared = step(ssh.script(host, _PREPARE, call, *folders), "ssh-prepare", _sums(content.values()))
    said = _succeeded(host, prepared).log.read_text(errors="replace")
    root, lacking = ssh.told(host, "root", said), dict(_NOT_WHOLE.findall(said))
    try:
        sftp(sending(content, lacking, root), "sftp-send")
        if lacking:
            accepted = step(ssh.script(host, _ACCEPT), "ssh-accept", _sums(lacking))
            _check_accepted(host, _succeeded(host, accepted))
        there = moved(argv, files, root)
        finished = step(ssh.in_folder(host, f"{root}{files.folder}", there, terminal=True), name)
        finished = ssh.ended_well(host, replace(finished, argv=("ssh", host.address, *there)), argv[0])
        sftp(fetching(files.folder, root), "sftp-fetch")
    finally:
        with suppress(ToolError):  # a lost connection is told already; what is left there goes after a day
            step(ssh.script(host, _REMOVE, call), "ssh-remove")
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


def _succeeded(host: Host, finished: Finished) -> Finished:
    fix = f"has it room, sftp, bash and sha256sum? `ssh {host.address} rm -r {FOLDER}` removes what earlier runs sent"
    return ssh.ended_well(host, finished, finished.argv[0], fix)


def _check_accepted(host: Host, accepted: Finished) -> None:
    damaged = _NOT_WHOLE.findall(accepted.log.read_text(errors="replace"))
    if damaged:
        raise ToolError(
            f"{len(damaged)} files arrived at {host.address} with other bytes than here, and were removed there",
            "run the same command again: what arrived whole is not sent again",
        )


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
