"""A stand-in for the module of that name, which is only looked for."""
