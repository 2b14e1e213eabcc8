"""Answers for the objects that promptable networks find hardest: thin ones, small ones, and even areas."""
