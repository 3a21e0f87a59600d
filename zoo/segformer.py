"""SegFormer, semantic segmentation with transformers (Xie et al., NeurIPS 2021).

Parameters have the names of github.com/NVlabs/SegFormer, without its unused decode_head.conv_seg.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class _Size:
    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    decoder_width: int


_WIDE = (64, 128, 320, 512)
_SIZES = {
    "b0": _Size((32, 64, 160, 256), (2, 2, 2, 2), 256),
    "b1": _Size(_WIDE, (2, 2, 2, 2), 256),
    "b2": _Size(_WIDE, (3, 4, 6, 3), 768),
    "b3": _Size(_WIDE, (3, 4, 18, 3), 768),
    "b4": _Size(_WIDE, (3, 8, 27, 3), 768),
    "b5": _Size(_WIDE, (3, 6, 40, 3), 768),
}
_HEADS = (1, 2, 5, 8)
_REDUCTIONS = (8, 4, 2, 1)
"""How many times keys and values are fewer than queries along each axis, per stage."""
_EXPANSION = 4
_STAGES = range(1, 5)


class Segformer(nn.Module):
    """RGB pictures [N, 3, H, W] -> logits [N, classes, H, W]; H and W are multiples of 32.

    Raises:
        ValueError: `size` is none of b0 to b5.
    """

    def __init__(self, size: str = "b0", classes: int = 150) -> None:
        super().__init__()
        if size not in _SIZES:
            raise ValueError(f"size is {size}, not one of {', '.join(_SIZES)}")
        self.backbone = _Encoder(_SIZES[size])
        self.decode_head = _Decoder(_SIZES[size], classes)

    def forward(self, pictures: Tensor) -> Tensor:
        logits = self.decode_head(self.backbone(pictures))
        return nn.functional.interpolate(logits, size=pictures.shape[2:], mode="bilinear", align_corners=False)


class _Encoder(nn.Module):
    """Pictures -> features of the four stages, 4, 8, 16 and 32 times smaller."""

    def __init__(self, size: _Size) -> None:
        super().__init__()
        channels = 3
        for stage, width, depth, heads, reduction in zip(
            _STAGES, size.widths, size.depths, _HEADS, _REDUCTIONS, strict=True
        ):
            self.add_module(f"patch_embed{stage}", _PatchEmbedding(channels, width, first=stage == 1))
            self.add_module(f"block{stage}", nn.ModuleList(_Block(width, heads, reduction) for _ in range(depth)))
            self.add_module(f"norm{stage}", nn.LayerNorm(width, eps=1e-6))
            channels = width

    def forward(self, features: Tensor) -> list[Tensor]:
        stages = []
        for stage in _STAGES:
            patches = self.get_submodule(f"patch_embed{stage}")
            features = patches.proj(features)
            height, width = features.shape[2:]
            tokens = patches.norm(_as_tokens(features))
            for block in self.get_submodule(f"block{stage}"):
                tokens = block(tokens, height, width)
            features = _as_map(self.get_submodule(f"norm{stage}")(tokens), height, width)
            stages.append(features)
        return stages


class _PatchEmbedding(nn.Module):
    def __init__(self, inputs: int, width: int, first: bool) -> None:
        super().__init__()
        kernel_size, stride = (7, 4) if first else (3, 2)
        self.proj = nn.Conv2d(inputs, width, kernel_size, stride, padding=kernel_size // 2)
        self.norm = nn.LayerNorm(width)


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = _Attention(width, heads, reduction)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = _Mlp(width)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens), height, width)
        return tokens + self.mlp(self.norm2(tokens), height, width)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.reduction = reduction
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, kernel_size=reduction, stride=reduction)
            self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        fewer = tokens
        if self.reduction > 1:
            fewer = self.norm(_as_tokens(self.sr(_as_map(tokens, height, width))))
        keys, values = self.kv(fewer).chunk(2, dim=-1)
        queries, keys, values = (self._by_head(given) for given in (self.q(tokens), keys, values))
        attended = nn.functional.scaled_dot_product_attention(queries, keys, values)
        return self.proj(attended.transpose(1, 2).flatten(2))

    def _by_head(self, tokens: Tensor) -> Tensor:
        """[N, L, C] -> [N, heads, L, C / heads]."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class _Mlp(nn.Module):
    """Two linear layers with a 3x3 depthwise convolution between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = _EXPANSION * width
        self.fc1 = nn.Linear(width, hidden)
        self.dwconv = nn.Module()
        self.dwconv.dwconv = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1, groups=hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        hidden = self.dwconv.dwconv(_as_map(self.fc1(tokens), height, width))
        return self.fc2(nn.functional.gelu(_as_tokens(hidden)))


class _Decoder(nn.Module):
    """Features of the four stages -> logits [N, classes, H/4, W/4]."""

    def __init__(self, size: _Size, classes: int) -> None:
        super().__init__()
        for stage, width in zip(_STAGES, size.widths, strict=True):
            projection = nn.Module()
            projection.proj = nn.Linear(width, size.decoder_width)
            self.add_module(f"linear_c{stage}", projection)
        self.linear_fuse = nn.Module()
        self.linear_fuse.conv = nn.Conv2d(4 * size.decoder_width, size.decoder_width, kernel_size=1, bias=False)
        self.linear_fuse.bn = nn.BatchNorm2d(size.decoder_width)
        self.linear_pred = nn.Conv2d(size.decoder_width, classes, kernel_size=1)

    def forward(self, stages: list[Tensor]) -> Tensor:
        largest = stages[0].shape[2:]
        projected = []
        for stage, features in zip(_STAGES, stages, strict=True):
            tokens = self.get_submodule(f"linear_c{stage}").proj(_as_tokens(features))
            features = _as_map(tokens, *features.shape[2:])
            projected.append(nn.functional.interpolate(features, size=largest, mode="bilinear", align_corners=False))
        fused = self.linear_fuse.conv(torch.cat(projected[::-1], dim=1))
        return self.linear_pred(self.linear_fuse.bn(fused).relu())


def _as_tokens(features: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, H * W, C]."""
    return features.flatten(2).transpose(1, 2)


def _as_map(tokens: Tensor, height: int, width: int) -> Tensor:
    """[N, H * W, C] -> [N, C, H, W]."""
    return tokens.transpose(1, 2).unflatten(2, (height, width))
