"""Tasks: one folder each with readers, metrics, substitute data and preview; shared code is in this folder."""

from runner.tasks.metrics import Decode, Mean, Metric, decode_of, first_output, measured_in, metric_of
from runner.tasks.similarity import agreement, are_class_scores, class_scores, cosine, mean_absolute_difference
