"""The journal of a label store: one SQLite file that records every change, and all SQL that reads or writes it."""
