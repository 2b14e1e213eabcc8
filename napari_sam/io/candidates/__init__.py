"""Candidates of an image on disk, so that they can be ranked again without the network."""
