"""One module per command, or per family of small commands, of ``napari-sam``."""
