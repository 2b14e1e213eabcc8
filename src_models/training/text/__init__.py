"""Training with the embeddings of objects by CLIP as prompts, SAM's recipe for text."""
