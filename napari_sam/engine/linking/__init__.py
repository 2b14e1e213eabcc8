"""Linking: which objects of neighbouring planes are the same object, decided on tables and never on whole volumes."""
