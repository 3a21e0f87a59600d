"""Compare every layer of two ONNX models on the same input and find the first node where they diverge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runner.core import RunnerError
from runner.core.lazy import NDArray, np, onnx
from runner.debug import graphs, node_differences, runtimes
from runner.debug.closeness import Closeness, Limit, Tolerance, closeness
from runner.debug.graphs import Graph, Segment
from runner.debug.runtimes import Model

FUSED_AT_MOST = 4
"""How many tensors after a renamed one are tried: fusions absorb a batch norm, a bias, an activation."""
SUSPECTS_AT_MOST = 16
"""How many nodes are run alone before the search for one that differs by itself gives up."""

Feeds = Mapping[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Replay:
    """The nodes that compute one tensor, cut out of both models, with the inputs they get in the first model.

    `outputs` are the tensor's values in the two whole models.
    """

    models: tuple[onnx.ModelProto, onnx.ModelProto]
    inputs: dict[str, NDArray[Any]]
    outputs: tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Node:
    """A node as it appears in reports."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class First:
    """The first node, in the order of computation, whose output `tensor` diverges; so its inputs agree.

    Where tensors before it could not be compared, `between` names all nodes that may be at fault, `node` last.
    """

    tensor: str
    node: Node
    between: tuple[str, ...]
    inputs: dict[str, Closeness]
    output: Closeness


@dataclass(frozen=True)
class Divergence(First):
    """The first node whose output diverges between two models: `node` in the first, `other_node` in the second.

    `alone` compares the outputs when both nodes run alone on the first model's inputs, and is None if they cannot
    (`alone_fails` says why). `differences` lists the constants and attributes that differ, `swallowed` the following
    tensors without a counterpart, which the second model's node may have absorbed.
    """

    other_node: Node
    alone: Closeness | None
    diverges_alone: bool
    alone_fails: str
    differences: tuple[str, ...]
    swallowed: tuple[str, ...]
    replay: Replay | None = field(repr=False)


@dataclass(frozen=True)
class Layers:
    """The result of comparing all layers.

    `compared` maps the first model's tensors, in order, to their closeness; `diverging` are those that diverge.
    `renamed` maps tensors of the first model to their names in the second, which fused nodes and kept the name of an
    earlier tensor. `missing` are tensors of the first model without a counterpart. `passed_on` says whether the
    divergence propagates to other tensors; if not, an unrecognised fusion may have renamed the tensor, or later nodes
    mask it.
    """

    compared: dict[str, Closeness]
    diverging: tuple[str, ...]
    renamed: dict[str, str]
    missing: tuple[str, ...]
    passed_on: bool
    first: Divergence | None

    @property
    def diverge(self) -> bool:
        """Whether a node is at fault: it diverges by itself, and the divergence propagates."""
        return self.first is not None and self.passed_on and (self.first.alone is None or self.first.diverges_alone)


def compare(reference: Model, candidate: Model, feeds: Feeds, tolerance: Tolerance) -> Layers:
    """Compare what two models compute on the same inputs, tensor by tensor.

    Tensors are matched by name. A fused node may give its output the name of an earlier tensor (a convolution fused
    with its batch norm keeps its own name): such a tensor is matched by value with later ones without a counterpart.

    Raises:
        ToolError: a runtime rejects a model.
    """
    counterparts = set(candidate.graph.computed)
    pairs = {name: name for name in reference.graph.computed if name in counterparts}
    compared = _compared(reference, candidate, pairs, feeds)
    pairs = {name: twin for name, twin in pairs.items() if name in compared}
    absent = set(reference.graph.computed) - counterparts
    renamed, behind = matched_by_value(
        reference.graph, absent, compared, tolerance, lambda tried: _compared(reference, candidate, tried, feeds)
    )
    pairs = {name: twin for name, twin in pairs.items() if name not in renamed.values()} | renamed
    pairs = {name: pairs[name] for name in reference.graph.computed if name in pairs}
    compared |= behind
    search = _Search(reference, candidate, pairs, {name: compared[name] for name in pairs}, feeds, tolerance)
    diverging = tuple(name for name in pairs if not tolerance.holds(search.compared[name]))
    missing = tuple(name for name in reference.graph.computed if name not in pairs and name not in renamed.values())
    passed_on = search.passed_on(diverging)
    first = search.first(passed_on or diverging) if diverging else None
    return Layers(search.compared, diverging, renamed, missing, bool(passed_on), first)


def _compared(reference: Model, candidate: Model, pairs: Mapping[str, str], feeds: Feeds) -> dict[str, Closeness]:
    """Compare each tensor of the first model with its counterpart in the second; `pairs` holds the names of both."""
    results: dict[str, Closeness] = {}
    for chunk in runtimes.chunks(list(pairs), graphs.sizes_bytes(reference.proto, feeds)):
        wanted = reference.values(chunk, feeds)
        got = candidate.values(list(dict.fromkeys(pairs[name] for name in chunk)), feeds)
        for name in chunk:
            if name in wanted and pairs[name] in got:
                results[name] = closeness(np.asarray(got[pairs[name]]), np.asarray(wanted[name]))
    return results


def matched_by_value(
    graph: Graph,
    absent: Collection[str],
    compared: Mapping[str, Closeness],
    limit: Limit,
    compare: Callable[[Mapping[str, str]], Mapping[str, Closeness]],
) -> tuple[dict[str, str], dict[str, Closeness]]:
    """Find tensors whose values stand under the name of an earlier tensor, as where a node was fused.

    The `absent` tensors behind each one that does not agree are tried; `compare` compares tensors with the values under
    the names that they are mapped to.

    Returns:
        The found tensors, each with the earlier tensor's name; and all that were tried and agree, with their closeness.
    """
    tried = {
        behind: name
        for name, each in compared.items()
        if not limit.holds(each)
        for behind in graphs.followers(graph, name, absent, FUSED_AT_MOST)
    }
    close = {name: each for name, each in compare(tried).items() if limit.holds(each)}
    furthest = {tried[name]: name for name in close}  # the last of several is the fused node's real output
    return {name: twin for twin, name in furthest.items()}, close


@dataclass(frozen=True)
class _Search:
    """The comparison to search. `pairs` maps names in the first model to names in the second, in order."""

    reference: Model
    candidate: Model
    pairs: Mapping[str, str]
    compared: dict[str, Closeness]
    feeds: Feeds
    tolerance: Tolerance

    def parents(self, name: str) -> list[str]:
        """Return the nearest compared tensors that a compared tensor is computed from."""
        return [each for each in graphs.segment(self.reference.graph, name, self.pairs).inputs if each in self.pairs]

    def passed_on(self, diverging: Sequence[str]) -> list[str]:
        """Return the diverging tensors that lead to a diverging output or, if outputs agree, to a diverging tensor."""
        among = set(diverging)
        parents = {name: [each for each in self.parents(name) if each in among] for name in diverging}
        reached: dict[str, None] = {}
        pending = [name for name in self.reference.graph.outputs if name in parents]
        pending = pending or [name for name in diverging if parents[name]]
        while pending:
            name = pending.pop()
            if name not in reached:
                reached[name] = None
                pending += parents[name]
        return [name for name in diverging if name in reached]

    def first(self, suspects: Sequence[str]) -> Divergence:
        """Return the first node, in topological order, that diverges even when run alone on equal inputs.

        If there is none, the differences add up over many nodes; then the first tensor's node is returned.
        """
        fallback: Divergence | None = None
        for place, name in enumerate(suspects[:SUSPECTS_AT_MOST]):
            divergence = self._divergence(name, suspects[place:])
            if divergence.alone is None or divergence.diverges_alone:
                return divergence
            fallback = fallback or divergence
        if fallback is None:
            raise ValueError("there is no suspect")
        return fallback

    def _divergence(self, name: str, diverging: Collection[str]) -> Divergence:
        reference, candidate = self.reference.graph, self.candidate.graph
        twin = self.pairs[name]
        segment = graphs.segment(reference, name, self.pairs)
        names = {each: its for each, its in self.pairs.items() if each not in diverging}
        other_segment = graphs.segment(candidate, twin, set(names.values()))
        node, other_node = reference.nodes[reference.producer[name]], candidate.nodes[candidate.producer[twin]]
        divergence = Divergence(
            **vars(first_node(reference, name, segment, self.compared)),
            other_node=_described(other_node),
            alone=None,
            diverges_alone=False,
            alone_fails="",
            differences=tuple(node_differences.of(self.reference, node, self.candidate, other_node)),
            swallowed=tuple(
                graphs.followers(reference, name, set(reference.computed) - set(self.pairs), FUSED_AT_MOST)
            ),
            replay=None,
        )
        try:
            return self._replayed(divergence, segment, other_segment, names)
        except RunnerError as error:
            return replace(divergence, alone_fails=error.message)

    def _replayed(
        self, divergence: Divergence, segment: Segment, other_segment: Segment, names: Mapping[str, str]
    ) -> Divergence:
        """Run the nodes of a divergence alone and add the outcome to it."""
        own_names = {twin: name for name, twin in names.items()}
        taken = dict.fromkeys([*segment.inputs, *(own_names.get(each, each) for each in other_segment.inputs)])
        target = divergence.tensor
        inside = [name for name in taken if name not in self.feeds]
        values = self.reference.values([*inside, target], self.feeds)
        inputs = {name: np.asarray(values[name] if name in values else self.feeds[name]) for name in taken}
        twin = self.pairs[target]
        models = (
            _cut_out(self.reference, segment, inputs, {}, (target, target)),
            _cut_out(self.candidate, other_segment, inputs, names, (twin, target)),
        )
        alone = [
            runtimes.run(model, side.folder, [target], inputs, side.runtime, divergence.node.name)[target]
            for model, side in zip(models, (self.reference, self.candidate), strict=True)
        ]
        close = closeness(np.asarray(alone[1]), np.asarray(alone[0]))
        outputs = (np.asarray(values[target]), np.asarray(self.candidate.values([twin], self.feeds)[twin]))
        return replace(
            divergence,
            alone=close,
            diverges_alone=not self.tolerance.holds(close),
            replay=Replay(models, inputs, outputs),
        )


def _cut_out(
    model: Model,
    segment: Segment,
    inputs: Mapping[str, NDArray[Any]],
    names: Mapping[str, str],
    target: tuple[str, str],
) -> onnx.ModelProto:
    cut = graphs.cut_out(model.proto, segment, inputs, names, target)
    onnx.external_data_helper.load_external_data_for_model(cut, str(model.folder))
    return cut


def first_node(graph: Graph, name: str, segment: Segment, compared: Mapping[str, Closeness]) -> First:
    """Describe the node that computes a diverging tensor; `segment` leads to it from the tensors compared before it."""
    return First(
        tensor=name,
        node=_described(graph.nodes[graph.producer[name]]),
        between=tuple(graphs.label(graph.nodes[place]) for place in segment.nodes if graph.computes(place)),
        inputs={each: compared[each] for each in segment.inputs if each in compared},
        output=compared[name],
    )


def _described(node: onnx.NodeProto) -> Node:
    return Node(graphs.label(node), node.op_type, tuple(graphs.node_inputs(node)), tuple(node.output))
