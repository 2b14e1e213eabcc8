"""Volumes and movies: all objects of each plane, linked into objects with one id through all planes."""
