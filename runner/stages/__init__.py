"""The stages of a run, one module each, and their order."""
