"""What a user changes about the objects of a label store."""
