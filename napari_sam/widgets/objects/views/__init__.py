"""Views of all objects in napari's window: the table, and plots of measured values."""
