"""The composed configuration as typed objects, and the checks that OmegaConf does not make."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from itertools import chain
from typing import Any

import msgspec
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config import libraries, permissions
from runner.config.schema import BASE, LANGUAGES, NAME, TO_NAME, ModelConfig, RunConfig, Text
from runner.core import ConfigError, cause_of, did_you_mean, is_unicode

_MOST_BITS = 63
"""Of whole numbers: what computes with them has integers of 64 bits, one of which is the sign."""


def load(config: DictConfig) -> RunConfig:
    """Convert the composed configuration to typed objects, resolve interpolations, and set the allowed packages.

    Raises:
        ConfigError: a key is not in the schema (Hydra's `+key=value` adds any), or a value is missing or cannot be
            resolved.
    """
    libraries.register()  # a launcher may call this in a new process
    unknown = list(_unknown_keys(config, ""))
    if unknown:
        raise ConfigError("; ".join(unknown), "correct the name, or leave it out: see --cfg job for the keys")
    try:
        loaded = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        known = cause_of(error)
        if known is not None:
            raise known from error
        place = f"{error.full_key}: " if error.full_key else ""
        raise ConfigError(place + str(error).splitlines()[0], "see --cfg job for the value") from error
    if not isinstance(loaded, RunConfig):
        raise ConfigError("the configuration lacks the runner's schema", "keep `- schema` first in the defaults")
    _check(loaded)
    loaded.model.decode = _over_base(loaded.model.decode)
    _check_arch(loaded.model, OmegaConf.to_yaml(config.model))
    permissions.allow(loaded.allow)
    return loaded


def _check_arch(model: ModelConfig, written: str) -> None:
    """Check that a network is named exactly where the model's file refers to its name."""
    takes_one = "${model.arch}" in written
    if takes_one and model.arch is None:
        raise ConfigError(
            f"model={model.name.partition('-')[0]} stands for any network of a library, and none is named",
            "name it: model.arch=NAME",
        )
    if model.arch is not None and not takes_one:
        raise ConfigError(
            f"model.arch is {model.arch!r}, and model={model.name} is one network and takes none",
            f"leave it out, or choose model={' or model='.join(libraries.LISTED_BY)}",
        )


def _over_base(decode: dict[str, Any]) -> dict[str, Any]:
    """Return a decoder's keys with those of its `_base_` that they leave out; all of them are another decoder's."""
    keys = {key: value for key, value in decode.items() if key != BASE}
    base = decode.get(BASE)
    if base is None or "_target_" in keys:
        return keys
    if not isinstance(base, dict):
        raise ConfigError(f"model.decode.{BASE} is {base!r}, no mapping", "refer to one, or leave it out")
    return base | keys


def _check(loaded: RunConfig) -> None:
    """Check types, which OmegaConf does not do for values that refer to others and for items of lists.

    Raises:
        ConfigError: a value has another type, is text with a NUL or invalid Unicode, or a number beyond 64 bits; or a
            name cannot be that of a folder.
    """
    try:
        builtins = msgspec.to_builtins(loaded, enc_hook=str)
        typed = msgspec.convert(builtins, RunConfig)
    except (msgspec.ValidationError, TypeError, ValueError, OverflowError) as error:
        reason = str(error).replace("$.", "").replace("`", "")
        raise ConfigError(f"the configuration has a value of another type: {reason}", "see --cfg job for it") from error
    checks = (_section_errors(loaded, typed), _name_errors(loaded), _text_errors(loaded.model), _leaf_errors(builtins))
    for found in chain(*checks):
        raise found


def _section_errors(loaded: RunConfig, typed: RunConfig) -> Iterator[ConfigError]:
    for path, section in _misplaced(loaded, typed, ""):
        names = [field.name for field in fields(section)] if is_dataclass(section) else map(str, section)
        its_keys = ", ".join(names)
        yield ConfigError(
            f"{path} refers to a whole section of other keys ({its_keys:.60})", "refer to one of them, or leave it out"
        )


def _name_errors(loaded: RunConfig) -> Iterator[ConfigError]:
    for group, name in [(group, getattr(loaded, group).name) for group in ("model", "dataset", "soc", "tool")]:
        if not NAME.fullmatch(name):
            yield ConfigError(f"{group}.name is {name!r}, and folders are named by it", TO_NAME)


def _text_errors(model: ModelConfig) -> Iterator[ConfigError]:
    for path, text in _translated(model):
        if not _is_text(text):
            yield ConfigError(
                f"{path} is {text!r}", "give a text, or one by language with English among them: {en: ..., zh: ...}"
            )


def _leaf_errors(builtins: Any) -> Iterator[ConfigError]:
    for path, leaf in _leaves(builtins, ""):
        if isinstance(leaf, str) and ("\0" in leaf or not is_unicode(leaf)):
            yield ConfigError(
                f"{path} is {leaf[:80]!a}, which holds a NUL or is not UTF-8", "write it anew, or rename the file"
            )
        if isinstance(leaf, int) and leaf.bit_length() > _MOST_BITS:
            yield ConfigError(
                f"{path} is a whole number of {leaf.bit_length()} bits, and {_MOST_BITS} is the most",
                f"give one of at most {2**_MOST_BITS - 1}",
            )


def _misplaced(loaded: Any, typed: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the path and value of each section or mapping, as loaded, that stands where `typed` has another."""
    if (is_dataclass(loaded) or is_dataclass(typed)) and type(loaded) is not type(typed):
        yield path, loaded
    elif is_dataclass(loaded):
        for field in fields(loaded):
            name = f"{path}.{field.name}" if path else field.name
            yield from _misplaced(getattr(loaded, field.name), getattr(typed, field.name), name)
    elif isinstance(loaded, dict):
        for key, value in loaded.items():
            yield from _misplaced(value, typed[key], f"{path}.{key}")
    elif isinstance(loaded, list):
        for index, (value, other) in enumerate(zip(loaded, typed, strict=True)):
            yield from _misplaced(value, other, f"{path}[{index}]")


def _translated(model: ModelConfig) -> Iterator[tuple[str, Text]]:
    """Yield the texts that may be given by language."""
    yield "model.about", model.about
    yield "model.batch_dependent", model.batch_dependent
    yield "model.checkpoint.where", model.checkpoint.where
    if model.onnx is not None:
        yield "model.onnx.where", model.onnx.where
        yield "model.onnx.made_by", model.onnx.made_by
    yield from ((f"model.deviations[{index}]", text) for index, text in enumerate(model.deviations))


def _is_text(text: Any) -> bool:
    if isinstance(text, dict):
        return "en" in text and text.keys() <= set(LANGUAGES) and all(isinstance(each, str) for each in text.values())
    return text is None or isinstance(text, str)


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the path and value of everything in a tree that holds nothing else, including keys of mappings."""
    if isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            yield from _leaves(item, f"{path}[{index}]")
    elif isinstance(node, dict):
        for key, item in node.items():
            yield path, key
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def _unknown_keys(node: Any, path: str) -> Iterator[str]:
    if not isinstance(node, (DictConfig, ListConfig)) or node._is_none() or node._is_missing():
        return
    kind = OmegaConf.get_type(node)
    known = {field.name for field in fields(kind)} if is_dataclass(kind) else None
    keys: list[Any] = list(node) if isinstance(node, DictConfig) else list(range(len(node)))
    for key in keys:
        name = f"{path}.{key}" if path else str(key)
        if known is not None and key not in known:
            hint = did_you_mean(str(key), known, 1)
            yield f"there is no key {name}" + (f"; {hint}" if hint else "")
        elif not OmegaConf.is_interpolation(node, key) and not OmegaConf.is_missing(node, key):
            yield from _unknown_keys(node._get_node(key), name)
