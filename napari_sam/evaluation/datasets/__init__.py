"""Readers for labelled data sets."""
