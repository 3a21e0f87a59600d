"""A stand-in for ais_bench, strict where the real one (0.0.2) is; see __main__."""
