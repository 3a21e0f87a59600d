"""Shared foundations that import no other subpackage: types, errors, files, processes, progress."""

from runner.core.artifacts import (
    DTYPES,
    FREE,
    Artifact,
    BatchComparison,
    Command,
    ComparedAccuracy,
    CompiledModel,
    Fidelity,
    Figure,
    Gear,
    OnnxModel,
    OperatorTime,
    Origin,
    Placement,
    Predictions,
    Samples,
    Scores,
    TensorSpec,
    Timing,
    Weights,
    flaw_of,
    shown_size,
)
from runner.core.bounds import bounded, one_of
from runner.core.errors import (
    CheckpointError,
    ComparisonError,
    ConfigError,
    DataError,
    DownloadError,
    ExportError,
    HookError,
    OutOfMemoryError,
    PreflightError,
    Problem,
    RunnerError,
    StoreError,
    ToolError,
    cause_of,
)
from runner.core.files import (
    JSON_ERRORS,
    NOTE_SUFFIX,
    PARTIAL_SUFFIX,
    at_home,
    check_regular,
    entries_of,
    path_decoder,
    path_encoder,
    read_regular,
    remove_broken_write,
    write_atomically,
)
from runner.core.hashing import FileHashes, Stat, core_count, sha256_of, stat_of
from runner.core.os_errors import as_store_errors
from runner.core.process import Finished
from runner.core.progress import Advance, Waits, counted_by, shown_by, track, waiting
from runner.core.shared_folders import distrust, entries_in, make_folder
from runner.core.text import did_you_mean, either, first_few, is_unicode, likeness, nearest, visible
from runner.core.times import now, seconds_since_epoch
