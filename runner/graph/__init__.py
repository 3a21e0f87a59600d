"""ONNX models: reading, checking, running and rewriting; and replacements of torch operations for the exporter."""

from runner.graph import external_data, onnx_files, running
from runner.graph.decompositions import export_patches
