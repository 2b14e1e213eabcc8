"""Embeddings: the cache, and encoding ahead of time."""
