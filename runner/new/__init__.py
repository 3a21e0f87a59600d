"""`python -m runner.new`: write the YAML of a model of the user's."""
