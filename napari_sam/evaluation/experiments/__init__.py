"""Experiments of the Segment Anything paper, and the runner that measures them."""
