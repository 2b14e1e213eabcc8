"""Reading prompts from tables, GeoJSON, COCO and label images."""
