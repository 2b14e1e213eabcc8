"""Zarr: stores, arrays and images, in folders and at URLs."""
