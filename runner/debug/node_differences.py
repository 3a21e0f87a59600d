"""What differs between the nodes of two ONNX models that compute the same tensor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.core.lazy import NDArray, onnx
from runner.debug.closeness import Closeness, closeness
from runner.debug.runtimes import Model, is_numeric


def of(reference: Model, node: onnx.NodeProto, candidate: Model, other_node: onnx.NodeProto) -> Iterator[str]:
    """Yield a line for each constant and attribute that differs between two nodes of one type; none for other nodes."""
    if (node.op_type, len(node.input)) != (other_node.op_type, len(other_node.input)):
        return
    for name, twin in zip(node.input, other_node.input, strict=True):
        wanted, got = _constant(reference, name), _constant(candidate, twin)
        difference = None if wanted is None or got is None else _told(closeness(got, wanted))
        if difference is not None:
            yield f"constant {name}{'' if name == twin else f' ({twin} in the second)'}: {difference}"
    attributes, others = _attributes(node), _attributes(other_node)
    for name in sorted(attributes.keys() | others.keys()):
        before, after = (values.get(name, "its default") for values in (attributes, others))
        if before != after:
            yield f"attribute {name}: {before} and {after}"


def _told(close: Closeness) -> str | None:
    """Return how two constants differ; None if they are equal."""
    if close.incomparable:
        return close.incomparable
    differs = f"it differs by up to {close.max_abs:.3g}, its largest value is {close.largest:.3g}"
    return differs if close.max_abs > 0 else None


def _constant(model: Model, name: str) -> NDArray[Any] | None:
    """Return the value of an initializer or a Constant, also through an Identity, as torch writes shared parameters."""
    place = model.graph.producer.get(name)
    if place is None:
        tensor = next((each for each in model.proto.graph.initializer if each.name == name), None)
    elif model.graph.nodes[place].op_type == "Identity":
        return _constant(model, model.graph.nodes[place].input[0])
    else:
        made = model.graph.nodes[place].attribute if model.graph.nodes[place].op_type == "Constant" else ()
        tensor = next((each.t for each in made if each.name == "value"), None)
    if tensor is None:
        return None
    array = onnx.numpy_helper.to_array(tensor, str(model.folder))
    return array if is_numeric(array) else None


def _attributes(node: onnx.NodeProto) -> dict[str, str]:
    plain = (each for each in node.attribute if not each.HasField("g") and not each.graphs and not each.HasField("t"))
    return {each.name: str(onnx.helper.get_attribute_value(each)) for each in plain}
