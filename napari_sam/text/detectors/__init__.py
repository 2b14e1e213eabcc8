"""Open-vocabulary models of the library transformers, as `TextDetector`."""
