"""The artifact store: artifacts are made once, looked up by key, pinned while in use, verified and pruned."""

from runner.store import inventory, pruning
from runner.store.inventory import Inventory, Listed
from runner.store.store import Entry, Store
