"""Networks and their parts, one per file."""
