"""The job families of the emulator: one module per group of families, listed in ``catalog``."""
