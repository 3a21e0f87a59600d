"""Stage `weights`: a checkpoint from a file, a URL or a seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner import networks
from runner.artifacts import Origin, Weights
from runner.downloads import download
from runner.errors import CheckpointError
from runner.hashing import sha256_of
from runner.networks import NetworkSpec

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class WeightsSpec:
    """Where the weights come from; `path` belongs to the origin file, `url` to url, `network` and `seed` to random.

    `file` is the checkpoint's published name. `sha256` is what the file must have: for the origin file the hash that
    it had when the run was planned, for url the declared one or its leading digits.
    """

    origin: Origin
    path: Path | None
    url: str | None
    file: str
    sha256: str | None
    size_bytes: int | None
    network: NetworkSpec | None
    seed: int


def weights(spec: WeightsSpec, out: Path) -> Weights:
    """Get the weights; a download or random weights are written to `out`, a file is used where it lies.

    A download that breaks off leaves `<file>.part` in `out`, from where the next try resumes.

    Raises:
        CheckpointError: the file is gone, or changed since the run was planned.
        DownloadError: the URL could not be fetched whole.
        ConfigError: the network for random weights cannot be made.
    """
    if spec.origin == "file":
        assert spec.path is not None
        return _from_file(spec.path, spec.sha256)
    if spec.origin == "url":
        assert spec.url is not None
        target = out / spec.file
        download(spec.url, target, out / f"{spec.file}.part", spec.sha256, spec.size_bytes)
    else:
        assert spec.network is not None
        target = out / "weights.safetensors"
        _save(networks.randomise(spec.network, spec.seed), target)
    return Weights(target, sha256_of(target), spec.origin)


def _from_file(path: Path, planned_sha256: str | None) -> Weights:
    try:
        found = sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}", "put the checkpoint back") from error
    if planned_sha256 is not None and found != planned_sha256:
        raise CheckpointError(
            f"{path} changed while this ran: its SHA-256 was {planned_sha256} and is now {found}",
            "run again when nothing writes to it any more",
        )
    return Weights(path, found, "file")


def _save(network: torch.nn.Module, target: Path) -> None:
    import torch
    from safetensors.torch import save_file

    # Clones, because the format refuses tensors that share memory or are not contiguous.
    tensors = {
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
    save_file(tensors, target)
