"""Metrics: arrays in, one number a sample out; the score is their mean.

A function of outputs [N, ...] and what they are scored against (labels [N] or PyTorch's outputs [N, ...]), plus the
arguments that the data set's YAML gives.
"""
