"""A machine with a stand-in card: the tools under tests/standins, and small offline models for them."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from runner.core import FREE, CompiledModel, Gear, TensorSpec, process
from runner.data.batches import Batch

STANDINS = Path(__file__).resolve().parents[1] / "standins"


@pytest.fixture
def card(card: None, logs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins of CANN, ais_bench and a 310P3, none of them told to fail; programs log."""
    for name in ("STANDIN_FAULT", "STANDIN_DEVICES", "STANDIN_AIS_INFER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[None]:
    """Programs log to `logs` in the test's folder."""
    with process.logging_to(tmp_path / "logs"):
        yield


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CompiledModel]:
    """An offline model of `shape` per sample: y = 2 x and z = -x; with two inputs, y = x + w and z = x - w.

    With `gears`, one that serves each of these shapes; with `batches`, one that serves each of these batch sizes, and
    with `is_range` all between the first and the last.
    """
    monkeypatch.syspath_prepend(STANDINS)
    import om_file

    def build(
        batch: int,
        inputs: int = 1,
        shape: tuple[int, ...] = (2,),
        soc: str = "Ascend310P3",
        gears: tuple[tuple[int, ...], ...] = (),
        batches: tuple[int, ...] = (),
        is_range: bool = False,
    ) -> CompiledModel:
        if gears:
            shape = tuple(sizes[0] if len(set(sizes)) == 1 else FREE for sizes in zip(*gears, strict=True))
        names = ["x", "w"][:inputs]
        other = names[-1]
        nodes = [helper.make_node("Add", ["x", other], ["y"])]
        nodes += [helper.make_node("Neg", ["x"], ["z"]) if inputs == 1 else helper.make_node("Sub", ["x", "w"], ["z"])]
        full = [FREE if batches else batch, *shape]
        axes = [None if size == FREE else size for size in full]
        served = [{name: [rows, *shape] for name in names} for rows in batches]
        served += [{name: [batch, *gear] for name in names} for gear in gears]
        graph = helper.make_graph(
            nodes,
            "small",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name in names],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name in ("y", "z")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
        header = {
            "soc_version": soc,
            "batch": batch,
            "inputs": [{"name": name, "dtype": "float32", "shape": full} for name in names],
            "outputs": [{"name": name, "dtype": "float32", "shape": full} for name in ("y", "z")],
            "aipp": None,
            "gears": {
                "by": "dynamic_batch_size"
                if batches
                else "dynamic_image_size"
                if inputs == 1 and len(shape) == 3
                else "dynamic_dims",
                "shapes": served,
            }
            if served and not is_range
            else None,
            "profile": {"min": served[0], "max": served[-1]} if is_range else None,
        }
        path = tmp_path / f"small_bs{batch}.om"
        om_file.pack(path, header, onnx.ModelProto.SerializeToString(model))

        def specs(names: Sequence[str], shape: tuple[int, ...]) -> tuple[TensorSpec, ...]:
            return tuple(TensorSpec(name, "float32", shape) for name in names)

        return CompiledModel(
            path=path,
            sha256="digest",
            soc="310P3",
            batch=batch,
            inputs=specs(names, shape),
            outputs=specs("yz", shape),
            gears=tuple(Gear(specs(names, gear), specs("yz", gear)) for gear in gears),
            batches=batches,
            is_range=is_range,
        )

    return build


@pytest.fixture
def doubling(tmp_path: Path) -> CompiledModel:
    """y = x + x on [batch, 2], and z = -x."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])],
        "doubling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("y", "z")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")

    def tensors(*names: str) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name, "float32", (2,)) for name in names)

    return CompiledModel(
        path=tmp_path / "m.onnx", sha256="digest", soc="cpu", batch=2, inputs=tensors("x"), outputs=tensors("y", "z")
    )


@pytest.fixture
def batches() -> Callable[..., list[Batch]]:
    """Batches of samples 0, 1, 2, ...: sample i of `x` holds i, of `w` holds 100; the tail padded with its first."""

    def build(model: CompiledModel, samples: int) -> list[Batch]:
        rows, shape = model.batch, model.inputs[0].shape
        made = []
        for start in range(0, samples, rows):
            real = [float(i) for i in range(start, min(start + rows, samples))]
            values = real + [real[0]] * (rows - len(real))
            x = np.stack([np.full(shape, value, np.float32) for value in values])
            arrays = {"x": x, "w": np.full_like(x, 100.0)}
            ids = tuple(str(int(value)) for value in real)
            made.append(Batch(ids, {tensor.name: arrays[tensor.name] for tensor in model.inputs}))
        return made

    return build


@pytest.fixture
def python() -> str:
    return sys.executable


@pytest.fixture
def group_may_write() -> Iterator[None]:
    """New files may be written by the user's group unless their maker says otherwise: umask 0002, as on many hosts."""
    before = os.umask(0o002)
    yield
    os.umask(before)


@dataclass(frozen=True)
class Board:
    """The host `board`: an sshd on 127.0.0.1 that the test started, and the home folder of its user."""

    home: Path
    sshd: subprocess.Popen[bytes]

    @property
    def files(self) -> list[Path]:
        """What was sent to it."""
        return sorted((self.home / ".cache/model-zoo-runner/files").glob("*"))

    def hang_up(self) -> None:
        """End all connections, as a line that breaks does; new ones can be made."""
        for pid in subprocess.run(
            ["pgrep", "--parent", str(self.sshd.pid)], capture_output=True, text=True, check=False
        ).stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def board(tmp_path: Path, logs: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """A host that ssh knows as `board`; programs there have the PATH and the variables of this test."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("sftp") is None:
        pytest.skip("no OpenSSH server and client here (Debian: openssh-server)")
    folder, home = tmp_path / "ssh", tmp_path / "home"
    for made in (folder, home, folder / "bin"):
        made.mkdir()
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    (folder / "config").write_text(
        f"Host board\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentitiesOnly yes\n"
        f"  IdentityFile {folder}/user_key\n  UserKnownHostsFile {folder}/known_hosts\n"
    )
    for name in ("ssh", "sftp"):  # ssh takes its configuration from the home folder in /etc/passwd, not from $HOME
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec {shutil.which(name)} -F {folder}/config "$@"\n')
        (folder / "bin" / name).chmod(0o755)
    variables = {"HOME": str(home), "PATH": os.environ["PATH"]}
    variables |= {
        name: value for name, value in os.environ.items() if name.startswith(("STANDIN_", "PYTHONPATH", "MODEL_ZOO_"))
    }
    set_there = " ".join(f'"{name}={value}"' for name, value in variables.items())
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/user_key.pub\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
        f"SetEnv {set_there}\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd confines itself before a log-in
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    with (
        (folder / "sshd.log").open("wb") as log,
        subprocess.Popen([program, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log) as sshd,
    ):
        deadline = time.monotonic() + 10
        while "Server listening" not in (said := (folder / "sshd.log").read_text()):
            if sshd.poll() is not None or time.monotonic() > deadline:
                sshd.kill()
                pytest.skip(f"sshd does not start here: {said}")
            time.sleep(0.02)
        board = Board(home, sshd)
        yield board
        board.hang_up()
        sshd.terminate()
