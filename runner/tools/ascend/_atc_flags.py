"""The flags of atc, their values and spelling.

From Huawei's "ATC Tool User Guide" (hiascend.com, devaids/atctool) and atc's own list of them (gitcode.com/cann/ge,
api/atc/atc_flags.cc).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.core import Problem, TensorSpec, did_you_mean

FLAGS = frozenset(
    (  # noqa: SIM905 -- one per line would fill a page
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
"""Flags a model may set: atc_flags.cc without those below, those of other frameworks and those that make no .om."""
OWN_FLAGS = ("model", "framework", "output", "input_shape", "soc_version")
"""Flags that the runner sets."""
DYNAMIC_FLAGS = ("dynamic_batch_size", "dynamic_image_size", "dynamic_dims", "input_shape_range")
"""Flags of shapes, which the runner sets as the samples need."""
FIXED_SIZE_FLAGS = ("input_format", "input_hint_shape", "insert_op_conf")
"""Flags that free sizes decide or exclude (the checks in option_utils.cc and main_impl.cc of gitcode.com/cann/ge)."""
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
    "precision_mode_v2": (
        "fp16",
        "origin",
        "cube_fp16in_fp32out",
        "mixed_float16",
        "mixed_bfloat16",
        "mixed_hif8",
        "cube_hif8",
    ),
}
"""The values documented in the guide for ONNX."""
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
PATH = re.compile("[A-Za-z0-9/._\u4e00-\u9fa5-]+")
"""The paths that atc takes (kPathValidReason in util.cc of gitcode.com/cann/ge)."""
WORD_SWITCHES = (
    "allow_hf32",
    "enable_attr_compression",
    "enable_compress_weight",
    "enable_single_stream",
    "raw_ge_options_ignore_unsupported",
    "save_original_model",
)
"""Switches with the values true and false; the others have 1 and 0."""


def problems(flags: Mapping[str, Any], inputs: Sequence[TensorSpec] = ()) -> Iterator[Problem]:
    """Yield problems: unknown flags, flags that the runner sets, those that free sizes exclude, and invalid values."""
    free = [tensor.name for tensor in inputs if tensor.is_free]
    if all(flags.get(name) is not None for name in ("precision_mode", "precision_mode_v2")):
        yield Problem(
            "model.atc.precision_mode and model.atc.precision_mode_v2 are both set, and atc takes one of them",
            "leave one out, as with model.atc.precision_mode=null",
        )
    for name, value in flags.items():
        if name in OWN_FLAGS:
            yield Problem(f"model.atc.{name} is set, which is the runner's own", f"take {name} out of model.atc")
        elif name in DYNAMIC_FLAGS:
            yield Problem(
                f"model.atc.{name} is set: the runner sets it by the batch size and the shapes of the samples",
                f"take {name} out of model.atc; batch.gears=[1,4,8] makes one model for several batch sizes, null in "
                "model.inputs a free size, tool.shapes=range one for all sizes between (docs/gears.md)",
            )
        elif free and value is not None and name in FIXED_SIZE_FLAGS:
            yield Problem(
                f"model.atc.{name} is set, and sizes of {', '.join(free)} are free: atc takes it for fixed sizes only",
                f"take {name} out of model.atc, or give the sizes in model.inputs",
            )
        elif name not in FLAGS:
            hint = did_you_mean(name, FLAGS, 3)
            fix = f"{hint} choose from {', '.join(sorted(FLAGS))}".lstrip()
            yield Problem(f"model.atc.{name} is no flag of atc", fix)
        else:
            yield from _value_problems(name, value)


def _value_problems(name: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, (str, int, float, bool, type(None))):
        yield Problem(f"model.atc.{name} is {value!r}", "give one value, spelt as on atc's command line")
        return
    text = spelled({name: value}).get(name)
    if text is None:
        return
    choices = CHOICES.get(name)
    if choices is not None and text not in choices:
        hint = did_you_mean(text, choices, 1)
        yield Problem(f"model.atc.{name} is {text!r}", f"{hint} choose from {', '.join(choices)}".lstrip())
    if name in FILE_FLAGS and not Path(text).is_file():
        yield Problem(f"model.atc.{name}: there is no file {text}", "give the path of an existing file")


def spelled(flags: Mapping[str, Any]) -> dict[str, str]:
    """Return flags as text for atc; null omits a flag, except `log`, which has a level of that name."""
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
    """Return the flags with file paths made absolute."""
    return {
        name: str(Path(value).absolute()) if name in FILE_FLAGS and value is not None else value
        for name, value in flags.items()
    }
