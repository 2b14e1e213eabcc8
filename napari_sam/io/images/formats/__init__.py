"""One image format per file, and what reads its pixels."""
