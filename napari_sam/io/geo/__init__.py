"""Where an image lies on the map: coordinate reference systems, affines, GeoTIFF tags and sidecar files."""
