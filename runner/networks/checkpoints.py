"""Checkpoints: read without running code in them, renamed to the network's parameter names, loaded strictly."""

from __future__ import annotations

import pickletools
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.config.callables import Target
from runner.core import CheckpointError, first_few
from runner.core.lazy import torch

_MOST_UNPACKED = 8
"""Maximum ratio of unpacked to packed size of an archive; weights hardly compress."""
_PARALLEL_PREFIX = "module."
"""Prefix that torch.nn.DataParallel adds to every parameter name."""
_REFUSED_CALL = re.compile(r"GLOBAL (?P<name>\w[\w.]*\w)\s|reduce for unrecognized function (?P<function>.+)")
"""Error of torch's restricted unpickler for a pickle that calls a function."""

_ALLOCATION = re.compile(r"tried to allocate (\d+) bytes")
"""Error of torch's allocator on the CPU."""


@dataclass(frozen=True, kw_only=True)
class CheckpointLayout:
    """How the parameter names of a published checkpoint map to the network's (see CheckpointConfig)."""

    unwrap: tuple[str, ...]
    rename: dict[str, str]
    drop_background: str | None
    settings: Target | None
    adapt: Target | None = None


@contextmanager
def named_in_errors(path: Path) -> Iterator[None]:
    """Put the checkpoint's path before the message of a CheckpointError that does not name it."""
    try:
        yield
    except CheckpointError as error:
        if str(path) in error.message:
            raise
        raise CheckpointError(f"{path}: {error.message}", error.fix) from error


def read_state_dict(path: Path) -> dict[str, Any]:
    """Read a checkpoint file: a .pth, .pt, .pth.tar or .bin of torch.save, or a .safetensors.

    The format is detected from the content, not the suffix. Nothing in the file is executed.

    Raises:
        CheckpointError: the file is missing, empty, truncated, not a checkpoint, or contains code.
    """
    if not path.exists():
        raise CheckpointError(f"there is no checkpoint {path}", "correct the path, or download the file to there")
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file", "give the path of the checkpoint file itself")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty", "download it again")
    raw = _read_safetensors(path) if _is_safetensors(path) else _read_pickle(path)
    if not isinstance(raw, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(raw).__name__}, not a state dict",
            "save the network's state dict: torch.save(network.state_dict(), FILE)",
        )
    return {str(name): value for name, value in raw.items()}


def state_dict_for(raw: Mapping[str, Any], layout: CheckpointLayout) -> dict[str, torch.Tensor]:
    """Return the parameters of a checkpoint under the network's own names.

    Uses the first entry of `layout.unwrap` that is a dict (otherwise the whole file), strips `module.` if every name
    has it, and renames prefixes that end at a dot.

    Raises:
        CheckpointError: there are no parameters, some hold no values of their own, or two get the same name.
    """
    wrapped = next((raw[entry] for entry in layout.unwrap if isinstance(raw.get(entry), Mapping)), raw)
    tensors = {str(name): value for name, value in wrapped.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise CheckpointError(
            f"the checkpoint holds no parameters; its entries are: {first_few([str(name) for name in wrapped])}",
            "name the entry that holds the state dict in model.checkpoint.unwrap",
        )
    unusual = [name for name, tensor in tensors.items() if not _is_plain(tensor)]
    if unusual:
        raise CheckpointError(
            f"{len(unusual)} of {len(tensors)} parameters are sparse, nested, or on the device `meta`: "
            f"{first_few(unusual)}",
            "save them as plain tensors with values: tensor.to_dense(), of a network on the CPU",
        )
    prefix = _PARALLEL_PREFIX if all(name.startswith(_PARALLEL_PREFIX) for name in tensors) else ""
    named = {_renamed(name.removeprefix(prefix), layout.rename): tensor for name, tensor in tensors.items()}
    if len(named) != len(tensors):
        raise CheckpointError(
            f"model.checkpoint.rename gives {len(tensors) - len(named)} parameters the name of another one",
            "correct the new prefixes in model.checkpoint.rename",
        )
    return named


def load(
    network: torch.nn.Module, state_dict: Mapping[str, torch.Tensor], layout: CheckpointLayout, path: Path
) -> None:
    """Load exactly the network's parameters, with floating point ones as float32.

    Drops row 0 of `layout.drop_background` first, if that layer has exactly one row more than the network's.

    Raises:
        CheckpointError: parameters are missing, unexpected, of another shape or kind, or not finite.
    """
    own = network.state_dict()
    given = dict(state_dict)
    if layout.drop_background is not None:
        _drop_first_row(given, own, layout.drop_background)
    # Checkpoints older than torch 0.4.1 lack this counter, which is unused in inference.
    counters = {name: own[name] for name in own if name.endswith(".num_batches_tracked") and name not in given}
    _check_names_and_shapes(given, {name: own[name] for name in own if name not in counters}, path)
    # Only what has the network's own shapes takes memory: a view in a file may be of any size.
    params = {name: _as_float32(name, tensor) for name, tensor in given.items()}
    _check_finite(params, own, path)
    loaded = OrderedDict(params | counters)
    # Layers read their format version here; the parameters checked above are in the network's current version.
    loaded._metadata = own._metadata  # type: ignore[attr-defined]
    network.load_state_dict(loaded)


def _as_float32(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return a floating point parameter as float32, and another one as it is."""
    try:
        return tensor.float() if tensor.is_floating_point() else tensor
    except NotImplementedError as error:  # several values packed into a byte
        raise CheckpointError(
            f"{name} is {tensor.dtype}, which torch cannot convert to float32",
            "save it as float16 or float32, where it can be unpacked",
        ) from error


def _is_plain(tensor: torch.Tensor) -> bool:
    return tensor.layout is torch.strided and not tensor.is_meta and not tensor.is_nested


def _is_safetensors(path: Path) -> bool:
    # Eight bytes of length, then a JSON object; no pickle or zip archive has a brace as its ninth byte.
    with path.open("rb") as file:
        head = file.read(9)
    return path.suffix == ".safetensors" or head[8:] == b"{"


def _read_safetensors(path: Path) -> Any:
    import safetensors
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except safetensors.SafetensorError as error:
        raise _not_readable(path, error) from error


def _check_archive(path: Path) -> None:
    """Reject a zip archive that unpacks to far more than its size; torch.save does not compress."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise _not_readable(path, error) from error
    if unpacked_bytes > _MOST_UNPACKED * path.stat().st_size:
        raise CheckpointError(
            f"{path} would unpack to {unpacked_bytes} bytes, more than {_MOST_UNPACKED} times its size",
            "no checkpoint of torch.save is compressed: use one from a source that you trust",
        )


def _read_pickle(path: Path) -> Any:
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler can raise any exception on damaged data
        code = _code_in(path, str(error))
        if _claims_more_than_it_holds(path, error):
            raise CheckpointError(
                f"{path} ({path.stat().st_size} bytes) is no checkpoint: it claims more than there is memory for",
                "download it again, from a source that you trust",
            ) from None
        if code is None:
            raise _not_readable(path, error) from error
        raise CheckpointError(
            f"{path} holds code ({code}), which is not run",
            "use a file of parameters alone: torch.save(network.state_dict(), FILE), made where the code is trusted",
        ) from error


def _claims_more_than_it_holds(path: Path, error: Exception) -> bool:
    wanted = _ALLOCATION.search(str(error))
    return isinstance(error, MemoryError) or (wanted is not None and int(wanted[1]) > path.stat().st_size)


def _code_in(path: Path, complaint: str) -> str | None:
    if "TorchScript" in complaint:
        return "it is a TorchScript program"
    refused = _REFUSED_CALL.search(complaint)
    if refused is not None:
        return f"it calls {refused['name'] or refused['function']}"
    # torch.save writes protocol 2; a later protocol's opcode shows that another program wrote the pickle.
    return "it is a pickle of Python objects" if "Unsupported operand" in complaint and _is_pickle(path) else None


def _is_pickle(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return sum(1 for _ in pickletools.genops(file)) > 0
    except Exception:  # damaged data can raise any exception
        return False


def _not_readable(path: Path, error: Exception) -> CheckpointError:
    first_line = next(iter(str(error).splitlines()), "")
    # torch suggests weights_only=False, which would run code in the file.
    reason = "its format is unknown" if "weights_only" in first_line else first_line.split(". ")[0]
    return CheckpointError(
        f"{path} ({path.stat().st_size} bytes) is truncated or no checkpoint: {reason or type(error).__name__}",
        "download it again, and look at its size: a web page or a Git LFS pointer may have been saved under its name",
    )


def _renamed(name: str, rename: Mapping[str, str]) -> str:
    for old, new in rename.items():
        if name == old or name.startswith(f"{old}."):
            return f"{new}{name[len(old) :]}".removeprefix(".")  # an empty new prefix removes the old one
    return name


def _drop_first_row(params: dict[str, torch.Tensor], own: Mapping[str, torch.Tensor], layer: str) -> None:
    for name in (f"{layer}.weight", f"{layer}.bias"):
        if name in params and name in own and _rows(params[name]) == _rows(own[name]) + 1:
            params[name] = params[name][1:]


def _rows(tensor: torch.Tensor) -> int:
    return tensor.shape[0] if tensor.dim() else 0


def _check_names_and_shapes(params: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor], path: Path) -> None:
    common = [name for name in own if name in params]
    problems = (
        ("missing", [name for name in own if name not in params]),
        ("unexpected", [name for name in params if name not in own]),
        (
            "of another shape",
            [
                f"{name} is {list(params[name].shape)}, the network's is {list(own[name].shape)}"
                for name in common
                if params[name].shape != own[name].shape
            ],
        ),
        (
            "of another kind",
            [
                f"{name} is {params[name].dtype}, the network's is {own[name].dtype}"
                for name in common
                if params[name].is_floating_point() != own[name].is_floating_point()
            ],
        ),
    )
    mismatches = [f"{len(names)} {kind}: {first_few(names)}" for kind, names in problems if names]
    if mismatches:
        raise CheckpointError(
            f"{path} is a checkpoint of another network ({len(params)} parameters in the file, {len(own)} in the "
            f"network)\n    " + "\n    ".join(mismatches),
            "use this network's checkpoint, or correct model.network's arguments and the names in model.checkpoint",
        )


def _check_finite(params: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor], path: Path) -> None:
    """Reject NaN, and infinity except in parameters that contain it in a fresh network (open bounds, masks)."""
    bad = [
        name
        for name, tensor in params.items()
        if not tensor.isfinite().all() and (tensor.isnan().any() or not own[name].isinf().any())
    ]
    if bad:
        raise CheckpointError(
            f"{path} holds NaN or infinite values in {len(bad)} of {len(params)} parameters: {first_few(bad)}",
            "download it again, or use a checkpoint of a training that did not diverge",
        )
