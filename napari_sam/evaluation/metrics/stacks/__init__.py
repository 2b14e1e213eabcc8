"""Metrics of volumes, movies and tracks."""
