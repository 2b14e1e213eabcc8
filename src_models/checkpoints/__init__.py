"""Checkpoint files: registry, download, integrity, loading and saving."""
