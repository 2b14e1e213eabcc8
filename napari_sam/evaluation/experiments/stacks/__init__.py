"""Experiments on volumes and movies whose objects are known on every plane."""
