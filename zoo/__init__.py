"""Networks that no library has, one small module a model."""
