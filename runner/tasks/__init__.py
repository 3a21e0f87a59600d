"""Tasks: one folder each with readers, metrics, substitute data and preview; shared code is in this folder."""

from runner.tasks.decode import (
    Decode,
    Results,
    StoringDecode,
    decode_of,
    decoded,
    first_output,
    reads_metadata,
    results_of,
    stores_results,
)
from runner.tasks.kinds import TASKS, TaskKind, folder_of
from runner.tasks.metrics import Mean, Metric, measured_in, metric_of, values_of
from runner.tasks.preview import Example, Preview
from runner.tasks.similarity import agreement, are_class_scores, class_scores, cosine, mean_absolute_difference
