"""The dock widget: signals in, workers out, no numerics."""
