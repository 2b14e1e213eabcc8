"""Comparison with other implementations of SAM, each in its own process and environment."""
