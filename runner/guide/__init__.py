"""`python -m runner.guide`: write a model's guide from its YAML, the commands of its plan and existing results."""
