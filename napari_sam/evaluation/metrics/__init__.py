"""Metrics of masks, label images and boundary maps, and their confidence intervals."""
