"""Files: images, prompts, labels, exports and embeddings."""
