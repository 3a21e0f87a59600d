"""Fused steps of torch taken apart: the same values, and exportable where the fused ones are not."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention as fused

from runner.graph.decompositions import export_patches

QUERY, KEY, VALUE = (torch.randn(2, 4, 5, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3))
CHOSEN = torch.arange(25).reshape(5, 5) % 3 > 0
FLOATS = torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("arguments", "heads"),
    [
        ({}, 4),
        ({"scale": 0.3}, 4),
        ({"is_causal": True}, 4),
        ({"attn_mask": CHOSEN}, 4),
        ({"attn_mask": FLOATS}, 4),
        ({"enable_gqa": True}, 2),
    ],
    ids=["plain", "scale", "causal", "choice", "floats", "groups"],
)
def test_attention_has_the_values_of_the_fused_one(arguments, heads) -> None:
    inputs = (QUERY, KEY[:, :heads], VALUE[:, :heads])
    with export_patches():
        found = torch.nn.functional.scaled_dot_product_attention(*inputs, **arguments)
    torch.testing.assert_close(found, fused(*inputs, **arguments), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("dimension", "size", "step"), [(1, 3, 1), (2, 3, 2), (-1, 8, 1)])
def test_windows_are_the_same(dimension, size, step) -> None:
    wanted = QUERY.unfold(dimension, size, step)
    with export_patches():
        assert torch.equal(QUERY.unfold(dimension, size, step), wanted)


@pytest.mark.parametrize("size", [1, 7, (14, 14), (7, 2), (6, None), (20, 5)])
def test_adaptive_pooling_is_the_same(size) -> None:
    picture = torch.randn(2, 3, 14, 14)
    wanted = torch.nn.functional.adaptive_avg_pool2d(picture, size)
    with export_patches():
        torch.testing.assert_close(nn.AdaptiveAvgPool2d(size)(picture), wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("repeats", "dim"), [(3, 0), (2, -1), (2, None), (torch.tensor([2, 1]), 0), (torch.tensor(2), 1)]
)
def test_repeats_are_the_same(repeats, dim) -> None:
    wanted = torch.repeat_interleave(QUERY, repeats, dim)
    with export_patches():
        assert torch.equal(torch.repeat_interleave(QUERY, repeats, dim), wanted)
        assert torch.equal(QUERY.repeat_interleave(repeats, dim=dim), wanted)


@pytest.mark.parametrize(
    ("size", "how"),
    [
        ((9, 7), {"kernel_size": 3}),
        ((14, 14), {"kernel_size": 3, "padding": 1, "stride": 2}),
        ((9, 8), {"kernel_size": (2, 3), "dilation": (1, 2), "stride": (2, 1), "padding": (0, 1)}),
    ],
)
def test_blocks_are_put_together_the_same(size, how) -> None:
    blocks = torch.nn.functional.unfold(torch.randn(2, 3, *size), **how)
    wanted = torch.nn.functional.fold(blocks, size, **how)
    with export_patches():
        torch.testing.assert_close(nn.Fold(size, **how)(blocks), wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("bhij, bhjd -> bihd", [(2, 3, 4, 6), (2, 3, 6, 5)]),
        ("byhwc,hkc->byhwk", [(2, 3, 4, 5, 6), (4, 7, 6)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
        ("ij,jk", [(2, 3), (3, 4)]),
        ("i,j->ji", [(2,), (3,)]),
        ("ij,ij->", [(2, 3), (2, 3)]),
        ("abc->ca", [(2, 3, 4)]),
        ("ab,c->a", [(2, 3), (4,)]),
        ("...ij,jk->...ik", [(2, 3, 4), (4, 5)]),
        ("ii->i", [(3, 3)]),
        ("ij,jk->ik", [(2, 1), (3, 4)]),
    ],
)
def test_sums_of_products_are_the_same(equation, shapes) -> None:
    tensors = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    wanted = torch.einsum(equation, *tensors)
    with export_patches():
        torch.testing.assert_close(torch.einsum(equation, *tensors), wanted)
        torch.testing.assert_close(torch.einsum(equation, tensors), wanted)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(5, 9), (20, 3), 7])
def test_antialiased_resizing_is_the_same(mode, size) -> None:
    picture = torch.randn(2, 3, 7, 11)
    how = {"size": size, "mode": mode, "antialias": True}
    wanted = torch.nn.functional.interpolate(picture, **how)
    with export_patches():
        torch.testing.assert_close(torch.nn.functional.interpolate(picture, **how), wanted, atol=1e-5, rtol=1e-4)


def test_other_resizing_is_left_to_torch() -> None:
    picture = torch.randn(2, 3, 7, 11)
    wanted = torch.nn.functional.interpolate(picture, scale_factor=2, mode="nearest")
    with export_patches():
        assert torch.equal(torch.nn.functional.interpolate(picture, scale_factor=2, mode="nearest"), wanted)


@pytest.mark.parametrize(("shape", "eps"), [((8,), None), ((5, 8), 1e-3)])
def test_norms_of_root_mean_squares_are_the_same(shape, eps) -> None:
    norm = nn.RMSNorm(shape, eps)
    nn.init.normal_(norm.weight)
    wanted = norm(QUERY)
    with export_patches():
        torch.testing.assert_close(norm(QUERY), wanted)


@pytest.mark.parametrize("times", [(2,), (1, 3, 2, 1), (2, 1, 1, 1, 1)])
def test_tiles_are_the_same(times) -> None:
    wanted = torch.tile(QUERY, times)
    with export_patches():
        assert torch.equal(torch.tile(QUERY, times), wanted)
        assert torch.equal(torch.tile(QUERY, dims=times), wanted)
        assert torch.equal(QUERY.tile(*times), wanted)
        assert torch.equal(QUERY.tile(dims=times), wanted)


def test_an_axis_is_split_the_same() -> None:
    wanted = QUERY.unflatten(-1, (2, -1))
    with export_patches():
        assert torch.equal(QUERY.unflatten(-1, (2, -1)), wanted)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((8, 6), {"kernel_size": 3, "padding": 1, "stride": 2}),
        ((7, 9), {"kernel_size": (2, 3)}),
        (9, {"kernel_size": 3, "dilation": 2, "padding": (1, 2), "stride": (2, 1)}),
    ],
)
def test_folding_is_the_same(size, options) -> None:
    rows, columns = (size, size) if isinstance(size, int) else size
    pieces = torch.nn.functional.unfold(torch.randn(2, 4, rows, columns), **options)
    wanted = torch.nn.functional.fold(pieces, size, **options)
    with export_patches():
        torch.testing.assert_close(torch.nn.functional.fold(pieces, size, **options), wanted)


def test_torch_is_as_before_afterwards() -> None:
    def found() -> list[object]:
        functions = [torch.Tensor.unfold, torch.Tensor.repeat_interleave, torch.repeat_interleave, torch.einsum]
        return [*functions, torch.nn.functional.adaptive_avg_pool2d, torch.backends.mha.get_fastpath_enabled()]

    before = found()
    with pytest.raises(ValueError), export_patches():
        raise ValueError
    assert torch.nn.functional.scaled_dot_product_attention is fused
    assert found() == before


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d((6, 5))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.slot = nn.Parameter(torch.randn(1, 1, 4, 4))

    def forward(self, tokens: Tensor) -> Tensor:
        slot = nn.functional.interpolate(self.slot, (6, 8), mode="bicubic", antialias=True)[0, 0]
        tokens = torch.einsum("btc,tc,dc->btd", tokens, slot, torch.tile(self.slot[0, 0], (2, 2)))
        pooled = self.pool(tokens.unfold(1, 3, 1)[:, None].flatten(3))[:, 0]
        pooled = nn.functional.rms_norm(pooled, (5,))
        windows = nn.functional.pad(pooled, (0, 3)).repeat_interleave(2, 0).unflatten(0, (-1, 2))[:, 1]
        return self.attention(windows, windows, windows, need_weights=False)[0]


@pytest.mark.parametrize("opset", [11, 13])
def test_what_is_taken_apart_is_exported_for_any_batch(opset, tmp_path) -> None:
    network, path = Attending().eval(), tmp_path / "model.onnx"
    with torch.no_grad(), export_patches():
        torch.onnx.export(
            network,
            (torch.zeros(1, 6, 8),),
            path,
            dynamo=False,
            opset_version=opset,
            input_names=["tokens"],
            dynamic_axes={"tokens": {0: "batch"}},
        )
    tokens = torch.randn(3, 6, 8)
    (found,) = onnxruntime.InferenceSession(path).run(None, {"tokens": tokens.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, network(tokens).numpy(), atol=1e-5)
