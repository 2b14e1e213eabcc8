"""Tiles in which only the objects of a concept are found."""
