"""Where outputs diverge: each step of a run against the one before, and the layers of two ONNX models."""
