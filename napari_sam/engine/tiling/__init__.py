"""Tiles that cover a whole image, and merging what was found in them."""
