"""Results: the schema of result.json, the gates that judge a run, and published figures."""

from runner.results.accounting import Account, accounts
from runner.results.collection import Found, FoundSweep, Skipped, failed, find, newest
from runner.results.edits import with_edits
from runner.results.gates import Gate
from runner.results.result import (
    NAME,
    Environment,
    Failure,
    Latency,
    Meaning,
    Performance,
    Result,
    StageRecord,
    UsedArtifacts,
    UsedWeights,
    WorstFidelity,
)
from runner.results.sweeps import SWEEP, Sweep, SweepJob
