"""Drop-in replacements for torch operations that the TorchScript exporter cannot export at opset 13 and below."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from runner.core.lazy import torch

Size = int | Sequence[int | None]
"""Output size: one number for both axes, or one for each; None leaves an axis unchanged."""


@contextmanager
def export_patches() -> Iterator[None]:
    """Replace torch operations in the block by the decompositions; values differ by rounding only."""
    replaced = [
        (torch.nn.functional, "scaled_dot_product_attention", _attention),
        (torch.nn.functional, "adaptive_avg_pool2d", _Pooling(torch.nn.functional.adaptive_avg_pool2d)),
        (torch.nn.functional, "fold", _fold),
        (torch.nn.functional, "interpolate", _Interpolation(torch.nn.functional.interpolate)),
        (torch, "rms_norm", _rms_norm),
        (torch, "einsum", _Einsum(torch.einsum)),
        (torch, "tile", _tile),
        (torch.Tensor, "tile", _tile),
        (torch, "repeat_interleave", _Repeating(torch.repeat_interleave)),
        (torch.Tensor, "repeat_interleave", _method(_Repeating(torch.Tensor.repeat_interleave))),
        (torch.Tensor, "unflatten", _unflatten),
        (torch.Tensor, "unfold", _unfold),
    ]
    before = [getattr(owner, name) for owner, name, _ in replaced]
    fastpath_enabled = torch.backends.mha.get_fastpath_enabled()
    for owner, name, replacement in replaced:
        setattr(owner, name, replacement)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        for (owner, name, _), function in zip(replaced, before, strict=True):
            setattr(owner, name, function)
        torch.backends.mha.set_fastpath_enabled(fastpath_enabled)


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """torch.nn.functional.scaled_dot_product_attention of [..., L, E], [..., S, E] and [..., S, Ev]."""
    if enable_gqa:
        repeats = int(query.size(-3)) // int(key.size(-3))
        key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
    scores = (query * (int(query.size(-1)) ** -0.5 if scale is None else scale)) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = torch.ones(int(query.size(-2)), int(key.size(-2)), dtype=torch.bool).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype == torch.bool else scores + attn_mask
    # Networks are in evaluation mode, so there is no dropout.
    return scores.softmax(-1) @ value


def _unflatten(tensor: torch.Tensor, dim: int, sizes: Sequence[int]) -> torch.Tensor:
    """torch.Tensor.unflatten, without named dimensions."""
    axis = dim % tensor.dim()
    return tensor.reshape(*tensor.shape[:axis], *sizes, *tensor.shape[axis + 1 :])


def _unfold(tensor: torch.Tensor, dimension: int, size: int, step: int) -> torch.Tensor:
    """torch.Tensor.unfold along an axis of known length, which becomes the windows; their elements are a new axis."""
    axis = dimension % tensor.dim()
    starts = torch.arange(0, int(tensor.size(axis)) - size + 1, step)
    windows = starts[:, None] + torch.arange(size)
    unfolded = _unflatten(tensor.index_select(axis, windows.flatten()), axis, list(windows.shape))
    return unfolded.movedim(axis + 1, -1)


def _fold(
    input: torch.Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> torch.Tensor:
    """torch.nn.functional.fold of [N, C * rows * columns, positions], as a transposed convolution."""
    kernel, dilations, paddings, strides = map(_pair, (kernel_size, dilation, padding, stride))
    positions, left = [], []
    for side, taps, spread, edge, step in zip(_pair(output_size), kernel, dilations, paddings, strides, strict=True):
        span = side + 2 * edge - spread * (taps - 1) - 1
        positions.append(span // step + 1)
        left.append(span % step)
    taps = kernel[0] * kernel[1]
    channels = int(input.size(1)) // taps
    return torch.nn.functional.conv_transpose2d(
        input.reshape(-1, channels * taps, *positions),
        torch.eye(taps).reshape(taps, 1, *kernel).repeat(channels, 1, 1, 1),
        stride=strides,
        padding=paddings,
        output_padding=left,
        groups=channels,
        dilation=dilations,
    )


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


class _Pooling:
    """torch.nn.functional.adaptive_avg_pool2d; `original` is torch's function, exportable for output size 1."""

    def __init__(self, original: Callable[..., torch.Tensor]) -> None:
        self.original = original

    def __call__(self, input: torch.Tensor, output_size: Size) -> torch.Tensor:
        height, width = int(input.size(-2)), int(input.size(-1))
        given = (output_size, output_size) if isinstance(output_size, int) else output_size
        rows, columns = given[0] or height, given[1] or width
        if (rows, columns) == (1, 1):
            return self.original(input, 1)
        if (rows, columns) == (height, width):
            return input
        if height % rows == 0 and width % columns == 0:
            return torch.nn.functional.avg_pool2d(input, (height // rows, width // columns))
        return _averages(rows, height) @ input @ _averages(columns, width).T


def _averages(outputs: int, inputs: int) -> torch.Tensor:
    """Return the matrix [outputs, inputs] that averages the inputs of each output as in adaptive pooling."""
    matrix = torch.zeros(outputs, inputs)
    for row in range(outputs):
        first, end = row * inputs // outputs, -(-(row + 1) * inputs // outputs)
        matrix[row, first:end] = 1 / (end - first)
    return matrix


class _Interpolation:
    """torch.nn.functional.interpolate; `original` is torch's function, for all except antialiased resizing of images.

    Antialiased resizing is linear and separable, so its matrices follow from resizing unit vectors.
    """

    def __init__(self, original: Callable[..., torch.Tensor]) -> None:
        self.original = original

    def __call__(
        self,
        input: torch.Tensor,
        size: int | Sequence[int] | None = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
        antialias: bool = False,
    ) -> torch.Tensor:
        if not antialias or size is None:
            return self.original(input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
        how = {"mode": mode, "align_corners": align_corners, "antialias": True}
        rows, columns = _pair(size)
        down = self._shares(rows, int(input.size(-2)), how)
        return down @ input @ self._shares(columns, int(input.size(-1)), how).T

    def _shares(self, outputs: int, inputs: int, how: dict[str, Any]) -> torch.Tensor:
        """Return the matrix [outputs, inputs] of the weight of each input in each output."""
        units = torch.eye(inputs).reshape(1, inputs, 1, inputs)  # rows: of columns torch 2.15 resizes only the first
        return self.original(units, (1, outputs), **how).reshape(inputs, outputs).T


def _rms_norm(
    input: torch.Tensor, normalized_shape: Sequence[int], weight: torch.Tensor | None = None, eps: float | None = None
) -> torch.Tensor:
    """torch.rms_norm: input / sqrt(mean(input ** 2) + eps) * weight."""
    axes = list(range(-len(normalized_shape), 0))
    least = torch.finfo(input.dtype).eps if eps is None else eps
    normalised = input * (input.square().mean(axes, keepdim=True) + least).rsqrt()
    return normalised if weight is None else normalised * weight


class _Einsum:
    """torch.einsum as sums, transpositions and matrix products; `original` is torch's function, for other operands.

    Operands are plain if they have no ellipses or diagonals, and equal sizes for shared letters.
    """

    def __init__(self, original: Callable[..., torch.Tensor]) -> None:
        self.original = original

    def __call__(self, equation: Any, *operands: Any) -> torch.Tensor:
        tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
        left, arrow, output = str(equation).replace(" ", "").partition("->")
        terms = left.split(",")
        if not _is_plain(terms, tensors):
            return self.original(equation, *operands)
        if not arrow:
            output = "".join(sorted(letter for letter in set("".join(terms)) if left.count(letter) == 1))
        letters, result = terms[0], tensors[0]
        for index in range(1, len(terms)):
            kept = {*output, *"".join(terms[index + 1 :])}
            letters, result = _contracted(letters, result, terms[index], tensors[index], kept)
        letters, result = _summed(letters, result, {*output})
        return result.permute([letters.index(letter) for letter in output])


def _is_plain(terms: Sequence[str], tensors: Sequence[Any]) -> bool:
    sizes: dict[str, int] = {}
    if len(terms) != len(tensors):
        return False
    for term, tensor in zip(terms, tensors, strict=True):
        if not term.isalpha() or not len(set(term)) == len(term) == tensor.dim():
            return False
        if any(sizes.setdefault(letter, size) != size for letter, size in zip(term, tensor.shape, strict=True)):
            return False
    return True


def _summed(letters: str, tensor: torch.Tensor, kept: set[str]) -> tuple[str, torch.Tensor]:
    """Sum over the axes whose letters are not in `kept`."""
    axes = [axis for axis, letter in enumerate(letters) if letter not in kept]
    return "".join(letter for letter in letters if letter in kept), tensor.sum(axes) if axes else tensor


def _contracted(
    left_letters: str, left: torch.Tensor, right_letters: str, right: torch.Tensor, kept: set[str]
) -> tuple[str, torch.Tensor]:
    """Return the letters and the product of two tensors, summed over common letters that are not in `kept`."""
    left_letters, left = _summed(left_letters, left, kept | {*right_letters})
    right_letters, right = _summed(right_letters, right, kept | {*left_letters})
    sizes = dict(zip(left_letters + right_letters, [*left.shape, *right.shape], strict=True))
    common = [letter for letter in left_letters if letter in right_letters]
    shared, summed = [x for x in common if x in kept], [x for x in common if x not in kept]
    rows, columns = [x for x in left_letters if x not in common], [x for x in right_letters if x not in common]
    batch = [sizes[letter] for letter in shared]
    across = math.prod(sizes[letter] for letter in summed)
    product = left.permute([left_letters.index(x) for x in [*shared, *rows, *summed]]).reshape(
        [*batch, math.prod(sizes[x] for x in rows), across]
    ) @ right.permute([right_letters.index(x) for x in [*shared, *summed, *columns]]).reshape(
        [*batch, across, math.prod(sizes[x] for x in columns)]
    )
    letters = [*shared, *rows, *columns]
    return "".join(letters), product.reshape([sizes[letter] for letter in letters])


def _tile(input: torch.Tensor, *numbers: Any, dims: Sequence[int] | None = None) -> torch.Tensor:
    """torch.tile: repeat, with 1 for the missing leading axes."""
    given = numbers if dims is None else (dims,)
    times = list(given[0]) if len(given) == 1 and isinstance(given[0], (list, tuple)) else list(given)
    return input.repeat([1] * (input.dim() - len(times)) + times)


class _Repeating:
    """torch.repeat_interleave by one number along an axis; `original` is torch's function, for all other calls."""

    def __init__(self, original: Callable[..., torch.Tensor]) -> None:
        self.original = original

    def __call__(self, input: torch.Tensor, repeats: Any, dim: int | None = None, **more: Any) -> torch.Tensor:
        is_single = isinstance(repeats, int) or repeats.numel() == 1  # a traced size is a tensor
        if dim is None or not is_single:
            return self.original(input, repeats, dim, **more)
        axis = dim % input.dim()
        shape = [-1] * (input.dim() + 1)
        shape[axis + 1] = int(repeats)
        return input.unsqueeze(axis + 1).expand(shape).flatten(axis, axis + 1)


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a callable object as a method, since Python binds `self` to functions only."""
    return lambda *arguments, **named: function(*arguments, **named)
