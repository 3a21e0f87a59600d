"""A stand-in for aclruntime, the C++ backend of ais_bench: the interface that the front end calls, over `om_file`.

As the real one (ais_bench/backend of github.com/Ascend/tools) it refuses other names, sizes and places of memory, and
prints what it does. STANDIN_CHIP is the card's chip (as in 310P3; any if unset), STANDIN_DEVICES how many there are.
STANDIN_ACLRUNTIME=msit tells a call's times as [start, end] in ms, as msit's line does.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any, NoReturn

import numpy as np
import om_file
from numpy.typing import NDArray

DTYPES = {"float32": 0, "float16": 1, "int8": 2, "int32": 3, "uint8": 4, "int64": 9, "bool": 12}
"""TensorDataType of the backend's TensorBase.h."""
ACL_FAILURE = "[1][ACL: general failure]"


class session_options:
    __slots__ = ("acl_json_path", "log_level", "loop")

    def __init__(self) -> None:
        self.acl_json_path, self.log_level, self.loop = "", 2, 1


class tensor_desc:
    def __init__(self, name: str, dtype: str, shape: list[int]) -> None:
        self.name, self.datatype, self.format, self.shape = name, DTYPES[dtype], 2, shape
        self.numpy_dtype = dtype
        self.size = self.realsize = self.bytes_of(shape)

    def bytes_of(self, shape: list[int]) -> int:
        return int(np.prod(shape)) * np.dtype(self.numpy_dtype).itemsize


class sumary:
    def __init__(self) -> None:
        self.exec_time_list: list[float | tuple[float, float]] = []


class MemorySummary:
    H2D_time_list: list[float] = []  # noqa: RUF012, one for all as in the real one
    D2H_time_list: list[float] = []  # noqa: RUF012

    def reset(self) -> None:
        self.H2D_time_list.clear()
        self.D2H_time_list.clear()


class BaseTensor:
    """Host memory by its address."""

    def __init__(self, buf: int, size: int) -> None:
        self.buf, self.size = buf, size

    def content(self) -> bytes:
        return ctypes.string_at(self.buf, self.size)


class Tensor:
    def __init__(self, array: Any) -> None:
        self._array = np.array(array, order="C", copy=True)
        self._device = -1
        self.size = self._array.nbytes

    @property
    def shape(self) -> list[int]:
        return list(self._array.shape)

    def to_device(self, device: int) -> None:
        self._device = device

    def to_host(self) -> None:
        self._device = -1
        MemorySummary.D2H_time_list.append(0.01)

    def content(self) -> bytes:
        if self._device < 0:
            raise RuntimeError("tensor is on the host, the model needs it on the device")
        return self._array.tobytes()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self._device >= 0:
            raise RuntimeError("tensor is in npu. can't convert to numpy array")
        return self._array if dtype is None else self._array.astype(dtype)


class InferenceSession:
    def __init__(self, model_path: str, device_id: int, options: session_options) -> None:
        if not isinstance(options, session_options):
            raise TypeError("__init__(): incompatible constructor arguments")
        self._path, self._device, self._options, self._sumary = model_path, device_id, options, sumary()
        _open_device(device_id)
        header = _loaded(model_path)
        self._inputs = [tensor_desc(t["name"], t["dtype"], t["shape"]) for t in header["inputs"]]
        self._outputs = [tensor_desc(t["name"], t["dtype"], t["shape"]) for t in header["outputs"]]
        self._header = header
        self._by = header["gears"] and header["gears"]["by"]
        self._gears = [header["profile"]["max"]] if header["profile"] else om_file.gears_of(header)
        self._gear: dict[str, list[int]] | None = None if self._by or header["profile"] else self._gears[0]
        self._output_bytes = [0 if header["profile"] else -1 for _ in self._outputs]  # -1: as the model says
        for desc in self._inputs:  # as memory is for the largest
            desc.size = desc.realsize = max(desc.bytes_of(gear[desc.name]) for gear in self._gears)

    def get_inputs(self) -> list[tensor_desc]:
        return self._inputs

    def get_outputs(self) -> list[tensor_desc]:
        return self._outputs

    def options(self) -> session_options:
        return self._options

    def sumary(self) -> sumary:
        return self._sumary

    def reset_sumaryinfo(self) -> None:
        self._sumary.exec_time_list.clear()

    def set_staticbatch(self) -> None:
        self._gear = None if self._by or self._header["profile"] else self._gears[0]

    def set_dynamic_batchsize(self, batch: int) -> None:
        if self._by != "dynamic_batch_size":
            _fail("the dynamic_batch_size parameter is not specified for model conversion")
        gears = [gear for gear in self._gears if next(iter(gear.values()))[0] == batch]
        self._set(gears, "the dymBatch parameter is not correct")

    def get_max_dym_batchsize(self) -> int:
        return max(next(iter(gear.values()))[0] for gear in self._gears)

    def set_dynamic_shape(self, text: str) -> None:
        """As the real one, check the inputs' names alone; the sizes are the card's to refuse."""
        named = [part.rpartition(":") for part in text.split(";")]
        shapes = {name: [int(size) for size in sizes.split(",")] for name, _, sizes in named}
        if shapes.keys() != {desc.name for desc in self._inputs}:
            _fail("the dymShape parameter set error, please check input name")
        self._set([shapes], "")

    def set_custom_outsize(self, sizes: list[int]) -> None:
        self._output_bytes[: len(sizes)] = sizes

    def set_dynamic_hw(self, height: int, width: int) -> None:
        if self._by != "dynamic_image_size":
            _fail("the dynamic_image_size parameter is not specified for model conversion")
        gears = [gear for gear in self._gears if next(iter(gear.values()))[2:] == [height, width]]
        self._set(gears, "the dymHW parameter is not correct")

    def set_dynamic_dims(self, text: str) -> None:
        """As the real one, compare the sizes of all inputs in order, whatever the names."""
        if self._by != "dynamic_dims":
            _fail("the dynamic_dims parameter is not specified for model conversion")
        sizes = [int(size) for part in text.split(";") for size in part.rpartition(":")[2].split(",")]
        gears = [gear for gear in self._gears if [size for shape in gear.values() for size in shape] == sizes]
        self._set(gears, "check dynamic dims failed, please set correct dymDims paramenter")

    def _set(self, gears: list[dict[str, list[int]]], complaint: str) -> None:
        if not gears:
            _fail(complaint)
        (self._gear,) = gears
        for desc in self._inputs:
            desc.realsize = desc.bytes_of(self._gear[desc.name])

    def free_resource(self) -> None:
        print("[INFO] unload model success, model Id is 1")

    def finalize(self: InferenceSession | None = None) -> None:
        """Of a session, or in msit's line of the class."""
        if self is not None:
            self.free_resource()

    def get_dym_aipp_input_exist(self) -> int:
        return 0

    def create_tensor_from_fileslist(self, desc: tensor_desc, files: list[str]) -> Tensor:
        content = b"".join(open(file, "rb").read() for file in files)  # noqa: SIM115, PTH123
        tensor = Tensor(np.frombuffer(content, desc.numpy_dtype))
        tensor.to_device(self._device)
        return tensor

    def run(self, output_names: list[str], feeds: list[BaseTensor] | list[Tensor]) -> list[Tensor]:
        if output_names != [desc.name for desc in self._outputs]:
            print(f"[ERROR] outnames {output_names} not valid")
            raise RuntimeError(ACL_FAILURE)
        arrays = self._feeds(feeds)
        for index, size in enumerate(self._output_bytes):
            if size == 0:
                _fail(f"out i:{index} size is zero")
        for _ in range(self._options.loop):
            start = time.perf_counter()
            outputs = om_file.run(self._path, arrays)
            end = time.perf_counter()
            told = (
                (1000 * start, 1000 * end) if os.environ.get("STANDIN_ACLRUNTIME") == "msit" else 1000 * (end - start)
            )
            self._sumary.exec_time_list.append(told)
        if any(0 < given < output.nbytes for given, output in zip(self._output_bytes, outputs, strict=True)):
            _fail("aclmdlExecute failed: the memory of an output is too small")
        tensors = [Tensor(output) for output in outputs]
        for tensor in tensors:
            tensor.to_device(self._device)
        return tensors

    def run_setinputs(self, feeds: list[Tensor]) -> None:
        """The three steps of the ais_infer of 2022; only its own clock times them."""
        self._set = self._feeds(feeds)

    def run_execute(self, loop: int) -> None:
        for _ in range(loop):
            self._got = om_file.run(self._path, self._set)

    def run_getoutputs(self, output_names: list[str]) -> list[Tensor]:
        tensors = [Tensor(output) for output in self._got]
        for tensor in tensors:
            tensor.to_device(self._device)
        return tensors

    def _feeds(self, feeds: list[BaseTensor] | list[Tensor]) -> dict[str, NDArray[Any]]:
        if len(feeds) != len(self._inputs):
            print(f"[ERROR] intensors size:{len(feeds)} need size:{len(self._inputs)} not match")
            raise RuntimeError(ACL_FAILURE)
        if self._gear is None:
            _fail(f"check failed dym gearcount:{len(self._gears)} but dymtype not set")
        for index, (feed, desc) in enumerate(zip(feeds, self._inputs, strict=True)):
            if feed.size != desc.realsize:
                print(
                    f"[ERROR] Check i:{index} name:{desc.name} in size:{feed.size} needsize:{desc.realsize} not match"
                )
                raise RuntimeError(ACL_FAILURE)
        return {
            desc.name: np.frombuffer(feed.content(), desc.numpy_dtype).reshape(self._gear[desc.name])
            for feed, desc in zip(feeds, self._inputs, strict=True)
        }


def _fail(complaint: str) -> NoReturn:
    print(f"[ERROR] {complaint}", flush=True)
    raise RuntimeError(ACL_FAILURE)


def _open_device(device_id: int) -> None:
    if device_id >= int(os.environ.get("STANDIN_DEVICES", "8")):
        print(f"[ERROR] acl open device {device_id} failed", flush=True)
        raise RuntimeError("[1007][Device: invalid device id]")
    print(f"[INFO] open device {device_id} success", flush=True)


def _loaded(model_path: str) -> dict[str, Any]:
    try:
        header, _ = om_file.unpack(model_path)
    except (OSError, ValueError) as error:
        print(f"[ERROR] load model from file failed, model file is {model_path}: {error}", flush=True)
        raise RuntimeError(ACL_FAILURE) from error
    chip = os.environ.get("STANDIN_CHIP", "").removeprefix("Ascend")
    if chip and header["soc_version"].removeprefix("Ascend") != chip:
        print(f"[ERROR] load model from file failed, model file is {model_path}", flush=True)
        print(f"[ERROR] an OM built for another soc: {header['soc_version']}, the card is Ascend{chip}", flush=True)
        raise RuntimeError(ACL_FAILURE)
    print(f"[INFO] load model {model_path} success", flush=True)
    return header
