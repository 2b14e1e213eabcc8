"""TIFF: its series, levels, colours and pixel sizes."""
