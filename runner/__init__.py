"""A declarative model-zoo runner: from a PyTorch checkpoint to a published table."""
