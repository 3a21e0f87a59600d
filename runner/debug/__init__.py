"""Where outputs part: the steps of a run beside each other, and the layers of two ONNX models."""
