"""Writers of tracks and of surfaces."""
