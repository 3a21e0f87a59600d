"""python -m runner.cache: what the store holds, whether it is whole, and what of it may go."""
