"""The page "Objects": selection, classes and edits of many objects."""
