"""Layers of stacks and movies: axes, followed objects, tracks."""
