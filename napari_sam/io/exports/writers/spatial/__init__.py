"""Stores of SpatialData: labels, a table of AnnData and polygons, each in a module."""
