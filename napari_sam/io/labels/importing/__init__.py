"""Objects of files of other programs, drawn into a label store."""
