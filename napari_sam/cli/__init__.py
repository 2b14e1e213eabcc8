"""The command line: ``napari-sam``."""

from napari_sam.cli.parser import main

__all__ = ["main"]
