"""Networks that are in no library, one small module per model."""
