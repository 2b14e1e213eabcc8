"""Benchmarks, run as modules from the root of the repository; see README.md beside this file."""

from src_models.thread_waiting import set_passive_waiting

set_passive_waiting()  # as in a user's process, where napari_sam is imported before torch
