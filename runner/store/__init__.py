"""The artifact store: artifacts are made once, looked up by key, pinned while in use, verified and pruned."""

from runner.store import inventory, pruning, trial
from runner.store.inventory import Inventory, Listed
from runner.store.manifests import SCHEMA
from runner.store.store import LONGEST_KEY, Entry, Store
