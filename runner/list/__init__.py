"""`python -m runner.list`: list all options and what can run here."""
