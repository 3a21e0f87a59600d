"""Torchvision's detectors as far as their heads."""

from __future__ import annotations

from runner.core.lazy import torch

_OUTPUTS = ("cls_logits", "bbox_regression", "bbox_ctrness")
"""What a head gives, in the order of the outputs; only FCOS has the last."""


def raw_heads(detector: torch.nn.Module) -> torch.nn.Module:
    """Return a one-stage detector's backbone and head, with its parameters' names, without anchors and suppression.

    Images [N, 3, H, W], normalised -> class logits [N, anchors, classes], box regressions [N, anchors, 4] and, of FCOS,
    centre-ness logits [N, anchors, 1].
    """

    class RawHeads(torch.nn.Module):
        backbone: torch.nn.Module
        head: torch.nn.Module

        def __init__(self) -> None:
            super().__init__()
            self.add_module("backbone", detector.get_submodule("backbone"))
            self.add_module("head", detector.get_submodule("head"))

        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            predicted: dict[str, torch.Tensor] = self.head(list(self.backbone(image).values()))
            return tuple(predicted[name] for name in _OUTPUTS if name in predicted)

    return RawHeads()
