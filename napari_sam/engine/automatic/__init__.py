"""Finding all objects of a region without prompts: dense mode and grid mode."""
