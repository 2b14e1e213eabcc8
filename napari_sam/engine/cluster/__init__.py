"""Work of the engine on the workers of a Dask cluster."""
