"""Where pixels lie: units and placement of axes, coordinate reference systems, affines, GeoTIFF tags, sidecar files."""
