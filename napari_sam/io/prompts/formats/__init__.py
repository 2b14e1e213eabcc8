"""Formats of prompts and of objects: COCO, GeoJSON, GeoPackage, ImageJ ROIs, Cellpose files, label images, tables."""
