"""From a prompt to a mask: prompts, windows, decoding, refinement and rendering."""
