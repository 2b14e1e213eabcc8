"""Changes of a label store: prepared, written into journal and pixels, undone."""
