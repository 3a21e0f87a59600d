"""python -m runner.list: what there is, and what can run here."""
