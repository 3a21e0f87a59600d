"""Every layer of two ONNX models on the same input, and the first node where they part."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runner.debug import graphs, runtimes
from runner.debug.closeness import Closeness, Tolerance, closeness
from runner.debug.graphs import Segment
from runner.debug.runtimes import Model
from runner.errors import RunnerError

if TYPE_CHECKING:
    import onnx

FUSED_AT_MOST = 4
"""How many tensors behind a renamed one are tried: fusions swallow a batch norm, a bias, an activation."""
SUSPECTS_AT_MOST = 16
"""How many nodes are run alone before the search gives up on finding one that differs by itself."""

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Replay:
    """The nodes that compute one tensor, cut out of both models, with the inputs that the first model gives them.

    `outputs` are the tensor's values in the whole models, where the second has it.
    """

    models: tuple[onnx.ModelProto, onnx.ModelProto]
    inputs: dict[str, NDArray[Any]]
    outputs: tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Node:
    """A node as reports name it."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Parting:
    """The first node whose output parts while its inputs agree.

    `node` computes it in the first model, `other_node` in the second. Where layers between had no counterpart,
    `between` names all the first model's nodes that may be at fault, `node` being their last. `inputs` is how close
    what goes in was, `output` what comes out; `alone` is the output of both when run alone on the first model's inputs,
    None where they cannot be (`alone_fails` says why). `differences` tells the constants and attributes that differ,
    `swallowed` the tensors behind it without a counterpart: the second model's node may have taken them in.
    """

    tensor: str
    node: Node
    other_node: Node
    between: tuple[str, ...]
    inputs: dict[str, Closeness]
    output: Closeness
    alone: Closeness | None
    alone_parts: bool
    alone_fails: str
    differences: tuple[str, ...]
    swallowed: tuple[str, ...]
    replay: Replay | None = field(repr=False)


@dataclass(frozen=True)
class Layers:
    """What a comparison of all layers found.

    `compared` maps the first model's tensors, in order, to how close the second's are; `parting` are those that part.
    `renamed` are tensors that the second model, which fused nodes, has under an earlier one's name: {name in the first:
    name in the second}. `missing` are tensors of the first model without a counterpart. `passed_on` says whether what
    parts makes others part; where not, an unrecognised fusion may have renamed it, or what follows masks it.
    """

    compared: dict[str, Closeness]
    parting: tuple[str, ...]
    renamed: dict[str, str]
    missing: tuple[str, ...]
    passed_on: bool
    first: Parting | None

    @property
    def part(self) -> bool:
        """Whether a node is at fault: it parts by itself, and makes others part."""
        return self.first is not None and self.passed_on and (self.first.alone is None or self.first.alone_parts)


def compare(one: Model, other: Model, feeds: Feeds, tolerance: Tolerance) -> Layers:
    """Compare what two models compute on the same inputs, tensor by tensor.

    Tensors are matched by name. Fused nodes may give a tensor the name of an earlier one, as a convolution that took in
    its batch norm keeps its own: such a tensor is matched by value with the tensors behind it that have no counterpart.

    Raises:
        ToolError: a runtime refuses a model.
    """
    counterparts = set(other.graph.computed)
    pairs = {name: name for name in one.graph.computed if name in counterparts}
    found = _compared(one, other, pairs, feeds)
    pairs = {name: twin for name, twin in pairs.items() if name in found}
    renamed, behind = _renamed(one, other, found, feeds, tolerance)
    pairs = {name: twin for name, twin in pairs.items() if name not in renamed.values()} | renamed
    pairs = {name: pairs[name] for name in one.graph.computed if name in pairs}
    found |= behind
    search = _Search(one, other, pairs, {name: found[name] for name in pairs}, feeds, tolerance)
    parting = tuple(name for name in pairs if not tolerance.holds(search.compared[name]))
    missing = tuple(name for name in one.graph.computed if name not in pairs and name not in renamed.values())
    passed_on = search.passed_on(parting)
    first = search.first(passed_on or parting) if parting else None
    return Layers(search.compared, parting, renamed, missing, bool(passed_on), first)


def _compared(one: Model, other: Model, pairs: Mapping[str, str], feeds: Feeds) -> dict[str, Closeness]:
    """How close each tensor of the first model is to its twin in the second, both given by name."""
    found: dict[str, Closeness] = {}
    for chunk in runtimes.chunks(list(pairs), graphs.sizes_bytes(one.proto, feeds)):
        wanted = one.values(chunk, feeds)
        got = other.values(list(dict.fromkeys(pairs[name] for name in chunk)), feeds)
        for name in chunk:
            if name in wanted and pairs[name] in got:
                found[name] = closeness(np.asarray(got[pairs[name]]), np.asarray(wanted[name]))
    return found


def _renamed(
    one: Model, other: Model, found: Mapping[str, Closeness], feeds: Feeds, tolerance: Tolerance
) -> tuple[dict[str, str], dict[str, Closeness]]:
    """The tensors of the first model that the second has under an earlier one's name, and how close they are."""
    absent = set(one.graph.computed) - set(other.graph.computed)
    tried = {
        behind: name
        for name, each in found.items()
        if not tolerance.holds(each)
        for behind in graphs.followers(one.graph, name, absent, FUSED_AT_MOST)
    }
    close = {name: each for name, each in _compared(one, other, tried, feeds).items() if tolerance.holds(each)}
    furthest = {tried[name]: name for name in close}  # the last of several: what the fused node really ends with
    return {name: twin for twin, name in furthest.items()}, close


@dataclass(frozen=True)
class _Search:
    """The comparison that is searched. `pairs` maps names in the first model to names in the second, in order."""

    one: Model
    other: Model
    pairs: Mapping[str, str]
    compared: dict[str, Closeness]
    feeds: Feeds
    tolerance: Tolerance

    def parents(self, name: str) -> list[str]:
        """The nearest compared tensors that a compared one is computed from."""
        return [each for each in graphs.segment(self.one.graph, name, self.pairs).inputs if each in self.pairs]

    def passed_on(self, parting: Sequence[str]) -> list[str]:
        """Those of the parting tensors that lead to a parting output; where none parts, to another parting tensor."""
        parts = set(parting)
        parents = {name: [each for each in self.parents(name) if each in parts] for name in parting}
        reached: dict[str, None] = {}
        pending = [name for name in self.one.graph.outputs if name in parents]
        pending = pending or [name for name in parting if parents[name]]
        while pending:
            name = pending.pop()
            if name not in reached:
                reached[name] = None
                pending += parents[name]
        return [name for name in parting if name in reached]

    def first(self, suspects: Sequence[str]) -> Parting:
        """The node of the first of the parting tensors, in topological order, that part even when computed alone.

        Where none does, the differences add up over many nodes; then the first tensor's is given.
        """
        fallback: Parting | None = None
        for place, name in enumerate(suspects[:SUSPECTS_AT_MOST]):
            found = self._parting(name, suspects[place:])
            if found.alone is None or found.alone_parts:
                return found
            fallback = fallback or found
        if fallback is None:
            raise ValueError("there is no suspect")
        return fallback

    def _parting(self, name: str, parts: Collection[str]) -> Parting:
        one, other = self.one.graph, self.other.graph
        twin = self.pairs[name]
        part = graphs.segment(one, name, self.pairs)
        names = {each: its for each, its in self.pairs.items() if each not in parts}
        other_part = graphs.segment(other, twin, set(names.values()))
        node, other_node = one.nodes[one.producer[name]], other.nodes[other.producer[twin]]
        found = Parting(
            tensor=name,
            node=_node(node),
            other_node=_node(other_node),
            between=tuple(graphs.label(one.nodes[place]) for place in part.nodes if one.computes(place)),
            inputs={each: self.compared[each] for each in part.inputs if each in self.compared},
            output=self.compared[name],
            alone=None,
            alone_parts=False,
            alone_fails="",
            differences=tuple(_differences(self.one, node, self.other, other_node)),
            swallowed=tuple(graphs.followers(one, name, set(one.computed) - set(self.pairs), FUSED_AT_MOST)),
            replay=None,
        )
        try:
            return self._replayed(found, part, other_part, names)
        except RunnerError as error:
            return replace(found, alone_fails=error.message)

    def _replayed(self, found: Parting, part: Segment, other_part: Segment, names: Mapping[str, str]) -> Parting:
        """The same, with its nodes run alone."""
        own_names = {twin: name for name, twin in names.items()}
        taken = dict.fromkeys([*part.inputs, *(own_names.get(each, each) for each in other_part.inputs)])
        target = found.tensor
        inside = [name for name in taken if name not in self.feeds]
        values = self.one.values([*inside, target], self.feeds)
        inputs = {name: np.asarray(values[name] if name in values else self.feeds[name]) for name in taken}
        twin = self.pairs[target]
        models = (
            _cut_out(self.one, part, inputs, {}, (target, target)),
            _cut_out(self.other, other_part, inputs, names, (twin, target)),
        )
        alone = [
            runtimes.run(model, side.folder, [target], inputs, side.runtime, found.node.name)[target]
            for model, side in zip(models, (self.one, self.other), strict=True)
        ]
        close = closeness(np.asarray(alone[1]), np.asarray(alone[0]))
        outputs = (np.asarray(values[target]), np.asarray(self.other.values([twin], self.feeds)[twin]))
        return replace(
            found, alone=close, alone_parts=not self.tolerance.holds(close), replay=Replay(models, inputs, outputs)
        )


def _cut_out(
    model: Model,
    part: Segment,
    inputs: Mapping[str, NDArray[Any]],
    names: Mapping[str, str],
    target: tuple[str, str],
) -> onnx.ModelProto:
    import onnx

    cut = graphs.cut_out(model.proto, part, inputs, names, target)
    onnx.external_data_helper.load_external_data_for_model(cut, str(model.folder))
    return cut


def _node(node: onnx.NodeProto) -> Node:
    return Node(graphs.label(node), node.op_type, tuple(graphs.node_inputs(node)), tuple(node.output))


def _differences(one: Model, node: onnx.NodeProto, other: Model, other_node: onnx.NodeProto) -> Iterator[str]:
    """What is written in the two nodes and differs, where they are of one kind."""
    if (node.op_type, len(node.input)) != (other_node.op_type, len(other_node.input)):
        return
    for name, twin in zip(node.input, other_node.input, strict=True):
        values = _constant(one, name), _constant(other, twin)
        if values[0] is None or values[1] is None:
            continue
        found = closeness(values[1], values[0])
        if found.incomparable or found.max_abs > 0:
            told = found.incomparable or f"it differs by up to {found.max_abs:.3g}, its largest value is "
            told += "" if found.incomparable else f"{found.largest:.3g}"
            yield f"constant {name}{'' if name == twin else f' ({twin} in the second)'}: {told}"
    values_of = [_attributes(each) for each in (node, other_node)]
    for name in sorted(values_of[0].keys() | values_of[1].keys()):
        before, after = (values.get(name, "its default") for values in values_of)
        if before != after:
            yield f"attribute {name}: {before} and {after}"


def _constant(model: Model, name: str) -> NDArray[Any] | None:
    """The value of an initializer, a Constant node, or an Identity of one; torch writes equal parameters so."""
    import onnx

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
    return array if np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_ else None


def _attributes(node: onnx.NodeProto) -> dict[str, str]:
    import onnx

    plain = (each for each in node.attribute if not each.HasField("g") and not each.graphs and not each.HasField("t"))
    return {each.name: str(onnx.helper.get_attribute_value(each)) for each in plain}
