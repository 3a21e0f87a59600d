"""python -m runner.new: the YAML of a model of yours, and what finds out what to write."""
