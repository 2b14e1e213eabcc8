"""The page "Find": all objects like the examples."""
