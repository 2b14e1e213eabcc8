"""Synthetic training images with exact masks."""
