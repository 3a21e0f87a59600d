"""Heavy packages, imported on first use: `from runner.core.lazy import np, torch`.

Showing a configuration, a dry run, and a run with only cached artifacts import none of them.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import cv2
    import numpy as np
    import onnx
    import onnxruntime
    import onnxsim
    import requests
    import timm
    import torch
    import torchvision
    from numpy.typing import NDArray
    from PIL import Image

__all__ = [
    "Image",
    "NDArray",
    "cv2",
    "np",
    "onnx",
    "onnxruntime",
    "onnxsim",
    "requests",
    "timm",
    "torch",
    "torchvision",
]


_imported: dict[str, ModuleType] = {}


class _Module(ModuleType):
    """A proxy of a module, which is imported when an attribute is read or set."""

    def __getattr__(self, attribute: str) -> Any:
        # numeric code asks for np.x some hundred times a picture, and import_module takes microseconds
        module = _imported.get(self.__name__)
        if module is None:
            module = _imported[self.__name__] = importlib.import_module(self.__name__)
        return getattr(module, attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        setattr(importlib.import_module(self.__name__), attribute, value)

    def __delattr__(self, attribute: str) -> None:
        delattr(importlib.import_module(self.__name__), attribute)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return vars(importlib.import_module(self.__name__))  # patching in tests restores attributes from there


if not TYPE_CHECKING:
    Image = _Module("PIL.Image")
    cv2 = _Module("cv2")
    np = _Module("numpy")
    onnx = _Module("onnx")
    onnxruntime = _Module("onnxruntime")
    onnxsim = _Module("onnxsim")
    requests = _Module("requests")
    timm = _Module("timm")
    torch = _Module("torch")
    torchvision = _Module("torchvision")

    class NDArray:
        """A stand-in for numpy's in annotations that are evaluated at run time (type aliases)."""

        def __class_getitem__(cls, item: Any) -> type:
            return cls
