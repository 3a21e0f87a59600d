"""What torch computes in one step and its exporter lacks at opsets that ATC reads, in steps that all of them have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Size = int | Sequence[int | None]
"""Of an output: one number for both axes, or one for each; None leaves an axis as it is."""


@contextmanager
def unfused() -> Iterator[None]:
    """While it lasts, networks compute attention and the like step by step; the values differ in rounding only."""
    import torch

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
    whole = torch.backends.mha.get_fastpath_enabled()
    for owner, name, steps in replaced:
        setattr(owner, name, steps)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        for (owner, name, _), function in zip(replaced, before, strict=True):
            setattr(owner, name, function)
        torch.backends.mha.set_fastpath_enabled(whole)


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
    import torch

    if enable_gqa:
        repeats = int(query.size(-3)) // int(key.size(-3))
        key, value = key.repeat_interleave(repeats, -3), value.repeat_interleave(repeats, -3)
    scores = (query * (int(query.size(-1)) ** -0.5 if scale is None else scale)) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = torch.ones(int(query.size(-2)), int(key.size(-2)), dtype=torch.bool).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype == torch.bool else scores + attn_mask
    # Networks are in evaluation mode: nothing is dropped.
    return scores.softmax(-1) @ value


def _unflatten(tensor: torch.Tensor, dim: int, sizes: Sequence[int]) -> torch.Tensor:
    """torch.Tensor.unflatten without names of axes."""
    axis = dim % tensor.dim()
    return tensor.reshape(*tensor.shape[:axis], *sizes, *tensor.shape[axis + 1 :])


def _unfold(tensor: torch.Tensor, dimension: int, size: int, step: int) -> torch.Tensor:
    """torch.Tensor.unfold: windows along an axis of known length become that axis, their elements a last one."""
    import torch

    axis = dimension % tensor.dim()
    starts = torch.arange(0, int(tensor.size(axis)) - size + 1, step)
    windows = starts[:, None] + torch.arange(size)
    found = _unflatten(tensor.index_select(axis, windows.flatten()), axis, list(windows.shape))
    return found.movedim(axis + 1, -1)


def _fold(
    input: torch.Tensor,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> torch.Tensor:
    """torch.nn.functional.fold of [N, C * rows * columns, places]: a transposed convolution puts each value back."""
    import torch

    kernel, dilations, paddings, strides = map(_pair, (kernel_size, dilation, padding, stride))
    places, left = [], []
    for side, taps, spread, edge, step in zip(_pair(output_size), kernel, dilations, paddings, strides, strict=True):
        span = side + 2 * edge - spread * (taps - 1) - 1
        places.append(span // step + 1)
        left.append(span % step)
    taps = kernel[0] * kernel[1]
    channels = int(input.size(1)) // taps
    return torch.nn.functional.conv_transpose2d(
        input.reshape(-1, channels * taps, *places),
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
    """torch.nn.functional.adaptive_avg_pool2d; `whole` is torch's own, which is exported for a single output."""

    def __init__(self, whole: Callable[..., torch.Tensor]) -> None:
        self.whole = whole

    def __call__(self, input: torch.Tensor, output_size: Size) -> torch.Tensor:
        import torch

        height, width = int(input.size(-2)), int(input.size(-1))
        given = (output_size, output_size) if isinstance(output_size, int) else output_size
        rows, columns = given[0] or height, given[1] or width
        if (rows, columns) == (1, 1):
            return self.whole(input, 1)
        if (rows, columns) == (height, width):
            return input
        if height % rows == 0 and width % columns == 0:
            return torch.nn.functional.avg_pool2d(input, (height // rows, width // columns))
        return _averages(rows, height) @ input @ _averages(columns, width).T


def _averages(outputs: int, inputs: int) -> torch.Tensor:
    """The matrix [outputs, inputs] that takes the mean of each output's inputs, as adaptive pooling shares them out."""
    import torch

    matrix = torch.zeros(outputs, inputs)
    for row in range(outputs):
        first, end = row * inputs // outputs, -(-(row + 1) * inputs // outputs)
        matrix[row, first:end] = 1 / (end - first)
    return matrix


class _Interpolation:
    """torch.nn.functional.interpolate; `whole` is torch's own, for all but pictures resized with antialiasing.

    That is linear, first along one axis and then along the other, so what it makes of unit vectors tells the rest.
    """

    def __init__(self, whole: Callable[..., torch.Tensor]) -> None:
        self.whole = whole

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
            return self.whole(input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
        how = {"mode": mode, "align_corners": align_corners, "antialias": True}
        rows, columns = _pair(size)
        down = self._shares(rows, int(input.size(-2)), how)
        return down @ input @ self._shares(columns, int(input.size(-1)), how).T

    def _shares(self, outputs: int, inputs: int, how: dict[str, Any]) -> torch.Tensor:
        """The matrix [outputs, inputs] of what each output takes of each input."""
        import torch

        units = torch.eye(inputs).reshape(1, inputs, 1, inputs)  # rows: of columns torch 2.15 resizes the first only
        return self.whole(units, (1, outputs), **how).reshape(inputs, outputs).T


def _rms_norm(
    input: torch.Tensor, normalized_shape: Sequence[int], weight: torch.Tensor | None = None, eps: float | None = None
) -> torch.Tensor:
    """torch.rms_norm: input / sqrt(mean(input ** 2) + eps) * weight."""
    import torch

    axes = list(range(-len(normalized_shape), 0))
    least = torch.finfo(input.dtype).eps if eps is None else eps
    found = input * (input.square().mean(axes, keepdim=True) + least).rsqrt()
    return found if weight is None else found * weight


class _Einsum:
    """torch.einsum as sums, transpositions and products of matrices; `whole` is torch's own, for what is not plain.

    Plain are operands without ellipses and diagonals, of equal sizes where they share a letter.
    """

    def __init__(self, whole: Callable[..., torch.Tensor]) -> None:
        self.whole = whole

    def __call__(self, equation: Any, *operands: Any) -> torch.Tensor:
        tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
        left, arrow, output = str(equation).replace(" ", "").partition("->")
        terms = left.split(",")
        if not _is_plain(terms, tensors):
            return self.whole(equation, *operands)
        if not arrow:
            output = "".join(sorted(letter for letter in set("".join(terms)) if left.count(letter) == 1))
        letters, found = terms[0], tensors[0]
        for index in range(1, len(terms)):
            kept = {*output, *"".join(terms[index + 1 :])}
            letters, found = _contracted(letters, found, terms[index], tensors[index], kept)
        letters, found = _summed(letters, found, {*output})
        return found.permute([letters.index(letter) for letter in output])


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
    """The tensor without the axes whose letters nobody keeps."""
    axes = [axis for axis, letter in enumerate(letters) if letter not in kept]
    return "".join(letter for letter in letters if letter in kept), tensor.sum(axes) if axes else tensor


def _contracted(
    one: str, left: torch.Tensor, other: str, right: torch.Tensor, kept: set[str]
) -> tuple[str, torch.Tensor]:
    """The product of two tensors, summed over what both have and nobody keeps; returns its letters, and itself."""
    one, left = _summed(one, left, kept | {*other})
    other, right = _summed(other, right, kept | {*one})
    sizes = dict(zip(one + other, [*left.shape, *right.shape], strict=True))
    both = [letter for letter in one if letter in other]
    shared, summed = [x for x in both if x in kept], [x for x in both if x not in kept]
    rows, columns = [x for x in one if x not in both], [x for x in other if x not in both]
    batch = [sizes[letter] for letter in shared]
    across = math.prod(sizes[letter] for letter in summed)
    product = left.permute([one.index(x) for x in [*shared, *rows, *summed]]).reshape(
        [*batch, math.prod(sizes[x] for x in rows), across]
    ) @ right.permute([other.index(x) for x in [*shared, *summed, *columns]]).reshape(
        [*batch, across, math.prod(sizes[x] for x in columns)]
    )
    letters = [*shared, *rows, *columns]
    return "".join(letters), product.reshape([sizes[letter] for letter in letters])


def _tile(input: torch.Tensor, *numbers: Any, dims: Sequence[int] | None = None) -> torch.Tensor:
    """torch.tile, which is to repeat, with ones for the axes that are not named."""
    given = numbers if dims is None else (dims,)
    times = list(given[0]) if len(given) == 1 and isinstance(given[0], (list, tuple)) else list(given)
    return input.repeat([1] * (input.dim() - len(times)) + times)


class _Repeating:
    """torch.repeat_interleave by one number along an axis; `whole` is torch's own, for everything else."""

    def __init__(self, whole: Callable[..., torch.Tensor]) -> None:
        self.whole = whole

    def __call__(self, input: torch.Tensor, repeats: Any, dim: int | None = None, **more: Any) -> torch.Tensor:
        one = isinstance(repeats, int) or repeats.numel() == 1  # a traced size is a tensor
        if dim is None or not one:
            return self.whole(input, repeats, dim, **more)
        axis = dim % input.dim()
        shape = [-1] * (input.dim() + 1)
        shape[axis + 1] = int(repeats)
        return input.unsqueeze(axis + 1).expand(shape).flatten(axis, axis + 1)


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A callable object as a method: a class binds `self` to functions only."""
    return lambda *arguments, **named: function(*arguments, **named)
