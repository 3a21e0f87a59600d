"""The Python interface: what the adapter uses of it. STANDIN_FAULT=intervals tells times as the later versions do."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import aclruntime
import numpy as np
from numpy.typing import NDArray


class InferSession:
    def __init__(
        self, device_id: int, model_path: str, acl_json_path: str | None = None, debug: bool = False, loop: int = 1
    ) -> None:
        options = aclruntime.session_options()
        options.loop = loop
        self._session = aclruntime.InferenceSession(model_path, device_id, options)
        if os.environ.get("STANDIN_FAULT") == "intervals":
            self.summary = self._intervals
        else:
            self.sumary = self._session.sumary

    def infer(
        self, feeds: list[NDArray[Any]], mode: str = "static", custom_sizes: int | list[int] = 100000
    ) -> list[NDArray[Any]]:
        if mode not in ("static", "dymbatch", "dymhw", "dymdims", "dymshape"):
            raise RuntimeError(f"mode {mode} is not stood in for")
        if mode == "static":  # as the later versions do
            self._session.set_staticbatch()
        if mode in ("dymdims", "dymshape"):  # dymbatch and dymhw leave the size as it was set, as 0.0.2 does
            described = zip(self._session.get_inputs(), feeds, strict=True)
            shapes = ";".join(f"{desc.name}:{','.join(map(str, feed.shape))}" for desc, feed in described)
            if mode == "dymdims":
                self._session.set_dynamic_dims(shapes)
            else:
                self._session.set_dynamic_shape(shapes)
                count = len(self._session.get_outputs())
                sizes = [custom_sizes] * count if isinstance(custom_sizes, int) else custom_sizes
                self._session.set_custom_outsize(sizes)
        tensors = [aclruntime.BaseTensor(array.__array_interface__["data"][0], array.nbytes) for array in feeds]
        outputs = self._session.run([desc.name for desc in self._session.get_outputs()], tensors)
        for output in outputs:
            output.to_host()
        if os.environ.get("STANDIN_FAULT") == "fewer":
            outputs = outputs[:-1]
        return [np.array(output) for output in outputs]

    def set_dynamic_hw(self, height: int, width: int) -> None:
        self._session.set_dynamic_hw(height, width)

    def set_dynamic_batchsize(self, batch: int) -> None:
        self._session.set_dynamic_batchsize(batch)

    def _intervals(self) -> SimpleNamespace:
        return SimpleNamespace(exec_time_list=[(100.0, 100.0 + ms) for ms in self._session.sumary().exec_time_list])
