"""The flags of atc: which there are, which values they take, how they are spelt.

From Huawei's "ATC Tool User Guide" (hiascend.com, devaids/atctool) and atc's own list of them (gitcode.com/cann/ge,
api/atc/atc_flags.cc).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.errors import Fault

FLAGS = frozenset(
    (  # noqa: SIM905 -- one a line would be a page
        "ac_parallel_enable aicore_num allow_hf32 atomic_clean_policy auto_tune_mode buffer_optimize build_config "
        "cluster_config compress_weight_conf compression_optimize_conf core_type customize_dtypes debug_dir "
        "deterministic deterministic_level device_id disable_reuse_memory enable_attr_compression "
        "enable_compress_weight enable_scope_fusion_passes enable_single_stream enable_small_channel external_weight "
        "fusion_switch_file hccl_sub_comm_config host_env_cpu host_env_os input_format input_fp16_nodes "
        "input_hint_shape insert_op_conf is_input_adjust_hw_layout is_output_adjust_hw_layout is_weight_clip "
        "jit_compile keep_dtype log mdl_bank_path modify_mixlist oo_level op_bank_path op_compiler_cache_dir "
        "op_compiler_cache_mode op_debug_config op_debug_level op_name_map op_precision_mode op_select_implmode "
        "optimization_switch optypelist_for_implmode out_nodes output_type precision_mode precision_mode_v2 "
        "quant_dumpable raw_ge_options raw_ge_options_ignore_unsupported save_original_model "
        "shape_generalized_build_mode sparsity static_model_ops_lower_limit status_check tiling_schedule_optimize "
        "virtual_type"
    ).split()
)
"""What a model may set: atc_flags.cc less the flags below, those of other frameworks and those that make no .om."""
OWN_FLAGS = ("model", "framework", "output", "input_shape", "soc_version")
"""What the runner sets."""
DYNAMIC_FLAGS = ("dynamic_batch_size", "dynamic_image_size", "dynamic_dims", "input_shape_range")
"""What contradicts an input_shape with the batch size in it."""
CHOICES = {
    "input_format": ("NCHW", "NCDHW", "ND"),
    "log": ("debug", "info", "warning", "error", "null"),
    "op_select_implmode": (
        "high_precision",
        "high_performance",
        "high_precision_for_all",
        "high_performance_for_all",
    ),
    "precision_mode": (
        "force_fp16",
        "force_fp32",
        "cube_fp16in_fp32out",
        "allow_mix_precision",
        "allow_mix_precision_fp16",
        "allow_mix_precision_bf16",
        "allow_fp32_to_fp16",
        "allow_fp32_to_bf16",
        "must_keep_origin_dtype",
    ),
}
"""The values that the guide documents for ONNX."""
FILE_FLAGS = (
    "compress_weight_conf",
    "compression_optimize_conf",
    "customize_dtypes",
    "fusion_switch_file",
    "insert_op_conf",
    "keep_dtype",
    "modify_mixlist",
    "op_name_map",
    "op_precision_mode",
)
WORD_SWITCHES = (
    "allow_hf32",
    "enable_attr_compression",
    "enable_compress_weight",
    "enable_single_stream",
    "raw_ge_options_ignore_unsupported",
    "save_original_model",
)
"""Switches that take true and false; the others take 1 and 0."""


def faults(flags: Mapping[str, Any]) -> Iterator[Fault]:
    """Flags that atc does not know, that are the runner's own, or whose value it does not take."""
    for name, value in flags.items():
        if name in OWN_FLAGS:
            yield Fault(f"model.atc.{name} is set, which is the runner's own", f"take {name} out of model.atc")
        elif name in DYNAMIC_FLAGS:
            yield Fault(
                f"model.atc.{name} is set: the runner compiles one model a batch size, of a fixed shape",
                f"take {name} out of model.atc; sweep sizes with -m batch=1,4,8",
            )
        elif name not in FLAGS:
            close = difflib.get_close_matches(name, FLAGS, 3)
            hint = f"did you mean {' or '.join(close)}? " if close else ""
            yield Fault(f"model.atc.{name} is no flag of atc", f"{hint}choose from {', '.join(sorted(FLAGS))}")
        else:
            yield from _value_faults(name, value)


def _value_faults(name: str, value: Any) -> Iterator[Fault]:
    if not isinstance(value, (str, int, float, bool, type(None))):
        yield Fault(f"model.atc.{name} is {value!r}", "give one value, spelt as on atc's command line")
        return
    text = spelled({name: value}).get(name)
    if text is None:
        return
    choices = CHOICES.get(name)
    if choices is not None and text not in choices:
        close = difflib.get_close_matches(text, choices, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        yield Fault(f"model.atc.{name} is {text!r}", f"{hint}choose from {', '.join(choices)}")
    if name in FILE_FLAGS and not Path(text).is_file():
        yield Fault(f"model.atc.{name}: there is no file {text}", "give the path of an existing file")


def spelled(flags: Mapping[str, Any]) -> dict[str, str]:
    """Values as atc reads them; null leaves a flag out, save for `log`, which has a level of that name."""
    spelled: dict[str, str] = {}
    for name, value in flags.items():
        if isinstance(value, bool):
            spelled[name] = str(value).lower() if name in WORD_SWITCHES else str(int(value))
        elif value is not None:
            spelled[name] = str(value)
        elif name == "log":
            spelled[name] = "null"
    return spelled


def absolute(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags with the files that they name as absolute paths."""
    return {
        name: str(Path(value).absolute()) if name in FILE_FLAGS and value is not None else value
        for name, value in flags.items()
    }
