"""The page "Refine": objects of other programs as prompts."""
