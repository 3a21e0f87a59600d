"""The locks of devices on another host: the same files as a run there locks, held by a process at the end of ssh."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

from runner.core import Placement, ToolError, process, waiting
from runner.measure import device_lock
from runner.tools import ssh
from runner.tools.ssh import Host

_WAITS = re.compile(r"waits (\S+) (.*)")

# Locks the files named by $3 and the following, and says which it waits for and who has it, until the connection ends.
# Another user's file in a folder for all is opened without making it, which the kernel may refuse (protected_regular).
_HOLD = f"""
stty -onlcr 2>/dev/null
option=$1 holder=$2
shift 2
umask 0
for name; do
    path=${{{device_lock.FOLDER_VARIABLE}:-${{TMPDIR:-/tmp}}}}/$name
    [ -e "$path" ] || [ -L "$path" ] || : >>"$path"
    if [ -L "$path" ] || ! [ -f "$path" ] || ! exec {{file}}<"$path"; then
        echo "refused $path"
        exit 1
    fi
    if ! flock --nonblock "$option" "$file"; then
        echo "waits $name $(head -c 200 -- "$path" | tr -cd '[:print:]')"
        flock "$option" "$file" || exit 1
    fi
    printf %s "$holder" | dd of="$path" conv=nocreat 2>/dev/null
done
echo held
exec sleep infinity
"""


@contextmanager
def using_devices(host: Host, placement: Placement, purpose: str, *, is_shared: bool) -> Iterator[None]:
    """Use the host's devices alone, or beside others that share them; wait until that is possible.

    Raises:
        ToolError: the locks cannot be made there, or the connection cannot be made or is lost before the block ends.
    """
    devices = device_lock.devices_by_file(placement)
    option = "--shared" if is_shared else "--exclusive"
    command = ssh.script(host, _HOLD, option, device_lock.holder(purpose), *devices, terminal=True)
    with process.beside(command, stage=purpose, name="ssh-lock") as other:
        _wait_until_held(host, devices, other.read_line)
        yield
        if other.has_ended():
            raise ssh.no_connection(host, "so the lock of its devices was given up")


def _wait_until_held(host: Host, devices: Mapping[str, str], read_line: Callable[[], str]) -> None:
    said = ""
    line = read_line()
    while line.strip() != "held":
        if not line:
            raise ssh.no_connection(host, said)
        said = f"{said} {line.strip()}".lstrip()
        if line.startswith("refused"):
            raise ToolError(
                f"the lock of a device on {host.address} cannot be used: {said}",
                f"name a folder that is there, and writable, with {device_lock.FOLDER_VARIABLE} in ~/.bashrc there",
            )
        user = _WAITS.fullmatch(line.strip())
        with waiting(f"for {devices[user[1]]} on {host.address}: {user[2]}") if user else nullcontext():
            line = read_line()
