"""Checkpoints: read without running any code in them, brought to the network's own parameter names, loaded strictly."""

from __future__ import annotations

import pickletools
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import CheckpointError

if TYPE_CHECKING:
    import torch

    from runner.networks import CheckpointLayout

_NAMES_SHOWN = 4
_MOST_UNPACKED = 8
"""How many times its size an archive may hold; weights hardly shrink when someone compresses them."""
_PARALLEL_PREFIX = "module."
"""What torch.nn.DataParallel puts before every parameter name."""
_REFUSED_CALL = re.compile(r"GLOBAL (?P<name>\w[\w.]*\w)\s|reduce for unrecognized function (?P<function>.+)")
"""What torch's restricted unpickler says of a pickle that calls something."""


def read_state_dict(path: Path) -> dict[str, Any]:
    """Read a checkpoint as it is stored: a .pth, .pt, .pth.tar or .bin of torch.save, or a .safetensors.

    The format follows from the content, not from the suffix. Nothing in the file is ever executed.

    Raises:
        CheckpointError: no such file, empty, truncated, not a checkpoint, or one that holds code.
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
    """The parameters in a checkpoint under the network's own names.

    Takes the first of `layout.unwrap` that holds a dict (a flat file is taken as it is), strips `module.` where
    every name has it, and renames prefixes that end at a dot.

    Raises:
        CheckpointError: no parameters, or two that end up under one name.
    """
    import torch

    wrapped = next((raw[entry] for entry in layout.unwrap if isinstance(raw.get(entry), Mapping)), raw)
    tensors = {str(name): value for name, value in wrapped.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise CheckpointError(
            f"the checkpoint holds no parameters; its entries are: {_some([str(name) for name in wrapped])}",
            "name the entry that holds the state dict in model.checkpoint.unwrap",
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
    """Put the parameters into the network, every one of them and nothing else, as float32 where they are fractions.

    Drops row 0 of `layout.drop_background` first, if that layer has exactly one row more than the network's.

    Raises:
        CheckpointError: parameters are missing, unexpected, of another shape or kind, or not finite.
    """
    own = network.state_dict()
    found = {name: _as_float32(tensor) for name, tensor in state_dict.items()}
    if layout.drop_background is not None:
        _drop_first_row(found, own, layout.drop_background)
    # Checkpoints older than torch 0.4.1 lack this counter, which inference does not use.
    counters = {name: own[name] for name in own if name.endswith(".num_batches_tracked") and name not in found}
    _check_names_and_shapes(found, {name: own[name] for name in own if name not in counters}, path)
    _check_finite(found, own, path)
    loaded = OrderedDict(found | counters)
    # Layers read their format's version here; what was checked above is in the network's own.
    loaded._metadata = own._metadata  # type: ignore[attr-defined]
    network.load_state_dict(loaded)


def _is_safetensors(path: Path) -> bool:
    # Eight bytes of length, then a JSON object; no pickle and no zip archive has a brace in the ninth place.
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
    """Refuse a zip archive that would take far more memory than its size; torch.save compresses nothing."""
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
    import torch

    _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes lead the unpickler to any exception
        code = _code_in(path, str(error))
        if code is None:
            raise _not_readable(path, error) from error
        raise CheckpointError(
            f"{path} holds code ({code}), which is not run",
            "use a file of parameters alone: torch.save(network.state_dict(), FILE), made where the code is trusted",
        ) from error


def _code_in(path: Path, complaint: str) -> str | None:
    if "TorchScript" in complaint:
        return "it is a TorchScript program"
    refused = _REFUSED_CALL.search(complaint)
    if refused is not None:
        return f"it calls {refused['name'] or refused['function']}"
    # torch.save writes protocol 2; an instruction of a later one is the mark of another program's pickle.
    return "it is a pickle of Python objects" if "Unsupported operand" in complaint and _is_pickle(path) else None


def _is_pickle(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return sum(1 for _ in pickletools.genops(file)) > 0
    except Exception:  # damaged bytes lead it to lengths beyond memory, to unknown encodings, to anything
        return False


def _not_readable(path: Path, error: Exception) -> CheckpointError:
    first_line = next(iter(str(error).splitlines()), "")
    # torch advises weights_only=False, which would run what is in the file.
    reason = "its format is unknown" if "weights_only" in first_line else first_line.split(". ")[0]
    return CheckpointError(
        f"{path} ({path.stat().st_size} bytes) is truncated or no checkpoint: {reason or type(error).__name__}",
        "download it again, and look at its size: a web page or a Git LFS pointer may have been saved under its name",
    )


def _renamed(name: str, rename: Mapping[str, str]) -> str:
    for old, new in rename.items():
        if name == old or name.startswith(f"{old}."):
            return f"{new}{name[len(old) :]}".removeprefix(".")  # an empty new prefix takes the old one off
    return name


def _as_float32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _drop_first_row(found: dict[str, torch.Tensor], own: Mapping[str, torch.Tensor], layer: str) -> None:
    for name in (f"{layer}.weight", f"{layer}.bias"):
        if name in found and name in own and _rows(found[name]) == _rows(own[name]) + 1:
            found[name] = found[name][1:]


def _rows(tensor: torch.Tensor) -> int:
    return tensor.shape[0] if tensor.dim() else 0


def _check_names_and_shapes(found: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor], path: Path) -> None:
    common = [name for name in own if name in found]
    faults = (
        ("missing", [name for name in own if name not in found]),
        ("unexpected", [name for name in found if name not in own]),
        (
            "of another shape",
            [
                f"{name} is {list(found[name].shape)}, the network's is {list(own[name].shape)}"
                for name in common
                if found[name].shape != own[name].shape
            ],
        ),
        (
            "of another kind",
            [
                f"{name} is {found[name].dtype}, the network's is {own[name].dtype}"
                for name in common
                if found[name].is_floating_point() != own[name].is_floating_point()
            ],
        ),
    )
    told = [f"{len(names)} {what}: {_some(names)}" for what, names in faults if names]
    if told:
        raise CheckpointError(
            f"{path} is a checkpoint of another network ({len(found)} parameters in the file, {len(own)} in the "
            f"network)\n    " + "\n    ".join(told),
            "use this network's checkpoint, or correct model.network's arguments and the names in model.checkpoint",
        )


def _check_finite(found: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor], path: Path) -> None:
    """Infinity is right only where the fresh network has some itself: bounds that bind nothing, masks."""
    bad = [
        name
        for name, tensor in found.items()
        if not tensor.isfinite().all() and (tensor.isnan().any() or not own[name].isinf().any())
    ]
    if bad:
        raise CheckpointError(
            f"{path} holds NaN or infinite values in {len(bad)} of {len(found)} parameters: {_some(bad)}",
            "download it again, or use a checkpoint of a training that did not diverge",
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "") if names else "none"
