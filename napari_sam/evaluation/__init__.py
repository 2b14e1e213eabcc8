"""The protocols and metrics of the Segment Anything paper."""
