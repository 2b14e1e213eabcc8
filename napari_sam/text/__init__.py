"""Text prompts: what a phrase asks for, the vocabulary of concepts, and open-vocabulary detectors."""
