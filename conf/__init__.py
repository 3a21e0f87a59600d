"""The configuration: one folder a question, one file an answer."""
