"""Old names of callables and modules, and their new places. Errors about old names suggest the new ones."""

from __future__ import annotations

CALLABLES = {
    "runner.compilers.atc.Atc": "runner.tools.ascend.Atc",
    "runner.compilers.trtexec.TrtexecBuild": "runner.tools.tensorrt.TrtexecBuild",
    "runner.datasets.arrays.ArrayFolder": "runner.data.ArrayFolder",
    "runner.datasets.atari.AtariFrames": "runner.tasks.control.AtariFrames",
    "runner.datasets.images.ImageFolder": "runner.tasks.classification.ImageFolder",
    "runner.datasets.noise.Noise": "runner.tasks.generation.Noise",
    "runner.datasets.synthetic.SyntheticImages": "runner.tasks.classification.SyntheticImages",
    "runner.libraries.timm.adapt_checkpoint": "runner.networks.libraries.adapt_timm_checkpoint",
    "runner.libraries.torchvision.build": "runner.networks.libraries.build_torchvision",
    "runner.metrics.classification.agreement": "runner.tasks.agreement",
    "runner.metrics.classification.top_k": "runner.tasks.classification.top_k",
    "runner.metrics.similarity.cosine": "runner.tasks.cosine",
    "runner.metrics.similarity.cosine_accuracy": "runner.tasks.generation.cosine_accuracy",
    "runner.metrics.similarity.mean_absolute_difference": "runner.tasks.mean_absolute_difference",
    "runner.onnx_surgery.negative_pads_to_slices": "runner.graph.surgery.negative_pads_to_slices",
    "runner.report.image_grid.write": "runner.tasks.generation.write_image_grid",
    "runner.tools.ais_bench.AisBench": "runner.tools.ascend.AisBench",
    "runner.tools.ais_infer.AisInfer": "runner.tools.ascend.AisInfer",
    "runner.tools.benchmark_tool.BenchmarkTool": "runner.tools.ascend.BenchmarkTool",
    "runner.tools.trtexec.Trtexec": "runner.tools.tensorrt.Trtexec",
}
"""Moved since 0.1, as named by a configuration's `_target_`."""

MODULES = {
    "runner.artifacts": "runner.core",
    "runner.batches": "runner.data",
    "runner.compilers": "runner.tools",
    "runner.datasets": "runner.data",
    "runner.errors": "runner.core",
    "runner.hashing": "runner.core",
    "runner.measuring": "runner.measure",
    "runner.metrics": "runner.tasks",
    "runner.onnx_files": "runner.graph",
    "runner.predictions": "runner.data",
    "runner.preprocess": "runner.data",
    "runner.process": "runner.core.process",
    "runner.progress": "runner.core",
    "runner.random_inputs": "runner.data",
    "runner.schema": "runner.config.schema",
    "runner.targets": "runner.config.targets",
}
"""Moved since 0.1, as imported by hooks."""

METHODS = {"faults": "validate", "neutral": "excluded_from_key"}
"""Renamed since 0.1, of readers, tools and compilers."""


def new_module(name: str) -> str | None:
    """Return the new name of a moved module; None if it never existed."""
    parts = name.split(".")
    candidates = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
    return next((MODULES[candidate] for candidate in candidates if candidate in MODULES), None)
