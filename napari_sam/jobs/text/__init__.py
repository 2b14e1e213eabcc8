"""Whole images by phrases."""
