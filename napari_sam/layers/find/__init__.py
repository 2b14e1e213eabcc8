"""The page "Find": examples, ranked candidates and their outlines."""
