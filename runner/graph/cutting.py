"""ONNX models from outside: fitted to the declared inputs and cut at the declared outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from runner.core import FREE, ExportError, TensorSpec, did_you_mean, first_few
from runner.core.lazy import onnx
from runner.graph import onnx_files

STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
BATCH = "batch"


def cut(
    model: onnx.ModelProto, inputs: Sequence[TensorSpec], outputs: Sequence[str], batch: int | None
) -> onnx.ModelProto:
    """Return the part of a model that computes `outputs`, with the declared inputs; `batch` None leaves it free.

    Raises:
        ExportError: an input or an output is not there, an input has another type or a fixed size that differs, or the
            part needs operators outside the ONNX standard.
    """
    _check_outputs(model.graph, outputs)
    nodes = _needed_nodes(model.graph, outputs)
    _check_operators(nodes, {(function.domain, function.name) for function in model.functions})
    given = {value.name: value for value in onnx_files.inputs_of(model.graph)}
    declared = [_input(given, tensor, batch) for tensor in inputs]
    used = {name for node in nodes for name in _names_read(node)} | set(outputs)
    missing = [name for name in given if name in used - {tensor.name for tensor in inputs}]
    if missing:
        raise ExportError(
            f"the outputs need the inputs {', '.join(missing)}, which model.inputs does not declare",
            "declare them, or cut the model at other outputs",
        )
    part = _part(model, nodes, used)
    typed = _typed(part).graph
    for place in ("input", "output", "value_info"):
        part.graph.ClearField(place)
    part.graph.input.extend(declared)
    part.graph.output.extend(_output(typed, name, batch) for name in outputs)
    return part


def _part(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], used: Set[str]) -> onnx.ModelProto:
    """Return a model of some of the nodes, with what the whole model says of its inputs, types and the `used` names."""
    graph = model.graph
    part = onnx.helper.make_graph(
        nodes,
        graph.name or "graph",
        graph.input,
        [value for value in graph.output if value.name in used],
        [tensor for tensor in graph.initializer if tensor.name in used],
        value_info=graph.value_info,
        sparse_initializer=[tensor for tensor in graph.sparse_initializer if tensor.values.name in used],
    )
    domains = {node.domain for node in _with_inner(nodes)} | {""}
    opsets = [entry for entry in model.opset_import if entry.domain in domains or entry.domain == "ai.onnx"]
    made: onnx.ModelProto = onnx.helper.make_model(part, opset_imports=opsets, ir_version=model.ir_version)
    made.metadata_props.extend(model.metadata_props)
    return made


def _typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the types of what its nodes compute, as far as they can be inferred."""
    try:
        return onnx.shape_inference.infer_shapes(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the ONNX model is invalid: {error}", "export it again") from error


def _check_outputs(graph: onnx.GraphProto, outputs: Sequence[str]) -> None:
    computed = [name for node in graph.node for name in node.output if name]
    for name in outputs:
        if name not in computed:
            own = ", ".join(value.name for value in graph.output)
            hint = did_you_mean(name, computed)
            raise ExportError(
                f"the ONNX model has no output {name!r}, nor a node that computes it",
                f"choose model.outputs from its own, {own}, or from what its nodes compute. {hint}".strip(),
            )


def _needed_nodes(graph: onnx.GraphProto, outputs: Sequence[str]) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs depend on, in the graph's order."""
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needed: set[int] = set()
    waiting = [makers[name] for name in outputs]
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += [makers[name] for name in _names_read(graph.node[index]) if name in makers]
    return [graph.node[index] for index in sorted(needed)]


def _names_read(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names that a node reads, including those that its subgraphs take from around them."""
    yield from filter(None, node.input)
    for subgraph in onnx_files.subgraphs(node):
        yield from (value.name for value in subgraph.output)
        for inner in subgraph.node:
            yield from _names_read(inner)


def _with_inner(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield the nodes, and those of their subgraphs."""
    for node in nodes:
        yield node
        for subgraph in onnx_files.subgraphs(node):
            yield from _with_inner(subgraph.node)


def _check_operators(nodes: Sequence[onnx.NodeProto], functions: Set[tuple[str, str]]) -> None:
    """Check that the nodes are operators of the standard, and none of the functions that the model itself defines.

    Functions may call each other: forty that call the one before twice are 2^40 operators.
    """
    operators = {(node.domain, node.op_type) for node in _with_inner(nodes)}
    nonstandard = {(domain, name) for domain, name in operators if domain not in STANDARD_DOMAINS}
    foreign = sorted(".".join(each) for each in nonstandard | (operators & functions))
    if foreign:
        raise ExportError(
            f"the ONNX model has operators outside the standard: {first_few(foreign, 5)}",
            "cut the model before them, by model.outputs",
        )


def _input(given: Mapping[str, onnx.ValueInfoProto], tensor: TensorSpec, batch: int | None) -> onnx.ValueInfoProto:
    """Return the declaration of one of the inputs `given` by name, in the sizes that the run gives it."""
    if tensor.name not in given:
        raise ExportError(
            f"the ONNX model has no input {tensor.name!r}", f"it has {', '.join(given)}: correct model.inputs"
        )
    dtype = onnx_files.dtype_of(given[tensor.name], "input").name
    axes = onnx_files.axes_of(given[tensor.name])
    shown = f"the input {tensor.name} of the ONNX model is {dtype} {list(axes)}"
    sizes = [batch or BATCH, *(f"{tensor.name}_{axis}" if s == FREE else s for axis, s in enumerate(tensor.shape, 1))]
    if isinstance(axes[0] if axes else 1, int) and axes[:1] != (batch,):
        raise ExportError(
            f"{shown}: it is fixed to a batch of {axes[0] if axes else 'no axis'}",
            f"run it with batch={axes[0] if axes else 1} and set model.export.fixed_batch=true, or export it with a "
            "free batch axis",
        )
    fits = len(axes) == len(sizes) and all(
        isinstance(own, str) or own == wanted for own, wanted in zip(axes, sizes, strict=True)
    )
    if dtype != tensor.dtype or not fits:
        raise ExportError(f"{shown}, not {tensor.dtype} {sizes}", "correct model.inputs")
    declared: onnx.ValueInfoProto = onnx.helper.make_tensor_value_info(
        tensor.name, given[tensor.name].type.tensor_type.elem_type, sizes
    )
    return declared


def _output(graph: onnx.GraphProto, name: str, batch: int | None) -> onnx.ValueInfoProto:
    known = {value.name: value for value in (*graph.value_info, *graph.output)}
    if name not in known:
        raise ExportError(f"the type of {name!r} in the ONNX model cannot be inferred", "choose another output")
    value = onnx.ValueInfoProto()
    value.CopyFrom(known[name])
    axes = value.type.tensor_type.shape.dim
    if axes:
        axes[0].Clear()
        if batch is None:
            axes[0].dim_param = BATCH
        else:
            axes[0].dim_value = batch
    for axis, dimension in enumerate(axes[1:], 1):  # computed anew for the sizes that the run gives
        dimension.Clear()
        dimension.dim_param = f"{name}_{axis}"
    return value
