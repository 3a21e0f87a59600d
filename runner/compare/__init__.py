"""`python -m runner.compare BASELINE [NEW]`: what fell since an earlier run."""
