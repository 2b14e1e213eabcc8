"""Assign the objects of label stores to classes."""
