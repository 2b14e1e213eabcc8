"""Changes of a label store: made, written to journal and pixels, undone and redone."""
