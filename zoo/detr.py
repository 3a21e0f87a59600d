"""DETR with a ResNet-50 (Carion et al., arXiv:2005.12872).

Parameters have the names of github.com/facebookresearch/detr, whose checkpoints have them in the entry `model`.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
import torchvision
from torch import Tensor, nn

_CHANNELS = 256
_HEADS = 8
_FEEDFORWARD_CHANNELS = 2048
_LAYERS = 6
_BACKBONE_CHANNELS = 2048
_TEMPERATURE = 10000


class Detr(nn.Module):
    """RGB images [N, 3, H, W], normalised as for ImageNet, without padding -> logits and boxes.

    The logits are [N, queries, classes + 1], the last for "no object"; the boxes are [N, queries, 4]: centre x, centre
    y, width and height as fractions of the image. The 91 classes are the category ids of COCO, 0 to 90.
    """

    def __init__(self, classes: int = 91, queries: int = 100) -> None:
        super().__init__()
        resnet = torchvision.models.resnet50(weights=None)
        body = nn.Sequential(OrderedDict(list(resnet.named_children())[:-2]))  # without the pooling and classifier
        self.backbone = nn.Sequential(nn.Sequential(OrderedDict(body=body)))
        self.input_proj = nn.Conv2d(_BACKBONE_CHANNELS, _CHANNELS, 1)
        self.query_embed = nn.Embedding(queries, _CHANNELS)
        self.transformer = _Transformer()
        self.class_embed = nn.Linear(_CHANNELS, classes + 1)
        self.bbox_embed = _Perceptron()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.input_proj(self.backbone(image))
        decoded = self.transformer(
            features.flatten(2).transpose(1, 2),
            position_encoding(features.shape[2], features.shape[3], features),
            self.query_embed.weight,
        )
        return self.class_embed(decoded), self.bbox_embed(decoded).sigmoid()


def position_encoding(height: int, width: int, like: Tensor) -> Tensor:
    """Return sines and cosines of each position's row, then of its column: [height * width, 256].

    Rows 1..height and columns 1..width are scaled to end at 2 pi; device and type are those of `like`.
    """
    half = _CHANNELS // 2
    wavelengths = _TEMPERATURE ** (torch.arange(0, half, 2, device=like.device, dtype=like.dtype) / half)

    def encode(length: int) -> Tensor:
        positions = torch.arange(1, length + 1, device=like.device, dtype=like.dtype) * (2 * math.pi / length)
        angles = positions[:, None] / wavelengths
        return torch.stack((angles.sin(), angles.cos()), -1).flatten(1)

    rows = encode(height)[:, None].expand(-1, width, -1)
    columns = encode(width)[None].expand(height, -1, -1)
    return torch.cat((rows, columns), -1).flatten(0, 1)


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(_EncoderLayer() for _ in range(_LAYERS))
        self.decoder = nn.Module()
        self.decoder.layers = nn.ModuleList(_DecoderLayer() for _ in range(_LAYERS))
        self.decoder.norm = nn.LayerNorm(_CHANNELS)

    def forward(self, features: Tensor, positions: Tensor, queries: Tensor) -> Tensor:
        """Decode features [N, positions, 256] to one vector for each query [N, queries, 256]."""
        for layer in self.encoder.layers:
            features = layer(features, positions)
        decoded = torch.zeros_like(queries).expand(features.shape[0], -1, -1)
        for layer in self.decoder.layers:
            decoded = layer(decoded, queries, features, positions)
        return self.decoder.norm(decoded)


class _EncoderLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = _attention()
        self.linear1 = nn.Linear(_CHANNELS, _FEEDFORWARD_CHANNELS)
        self.linear2 = nn.Linear(_FEEDFORWARD_CHANNELS, _CHANNELS)
        self.norm1 = nn.LayerNorm(_CHANNELS)
        self.norm2 = nn.LayerNorm(_CHANNELS)

    def forward(self, features: Tensor, positions: Tensor) -> Tensor:
        located = features + positions
        features = self.norm1(features + self.self_attn(located, located, features, need_weights=False)[0])
        return self.norm2(features + self.linear2(self.linear1(features).relu()))


class _DecoderLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn = _attention()
        self.multihead_attn = _attention()
        self.linear1 = nn.Linear(_CHANNELS, _FEEDFORWARD_CHANNELS)
        self.linear2 = nn.Linear(_FEEDFORWARD_CHANNELS, _CHANNELS)
        self.norm1 = nn.LayerNorm(_CHANNELS)
        self.norm2 = nn.LayerNorm(_CHANNELS)
        self.norm3 = nn.LayerNorm(_CHANNELS)

    def forward(self, decoded: Tensor, queries: Tensor, features: Tensor, positions: Tensor) -> Tensor:
        located = decoded + queries
        decoded = self.norm1(decoded + self.self_attn(located, located, decoded, need_weights=False)[0])
        attended = self.multihead_attn(decoded + queries, features + positions, features, need_weights=False)[0]
        decoded = self.norm2(decoded + attended)
        return self.norm3(decoded + self.linear2(self.linear1(decoded).relu()))


def _attention() -> nn.MultiheadAttention:
    return nn.MultiheadAttention(_CHANNELS, _HEADS, batch_first=True)


class _Perceptron(nn.Module):
    """Three linear layers, whose outputs are the boxes before the sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(_CHANNELS, outputs) for outputs in (_CHANNELS, _CHANNELS, 4))

    def forward(self, features: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            features = layer(features).relu()
        return self.layers[-1](features)
