"""Carriers of objects from plane to plane: by prompts, and by the memory of SAM 2."""
