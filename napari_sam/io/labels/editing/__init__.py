"""Changes of a label store: how each is made, written to the journal and drawn, undone and redone."""
