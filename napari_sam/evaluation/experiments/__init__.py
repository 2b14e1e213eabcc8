"""The experiments of the Segment Anything paper."""
