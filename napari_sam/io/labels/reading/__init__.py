"""Readers of a label store for exports, tables and scripts."""
