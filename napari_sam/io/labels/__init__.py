"""The label store: journal, pyramid, edits, review and measurements."""
