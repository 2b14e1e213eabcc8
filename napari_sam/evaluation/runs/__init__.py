"""Run experiments over many images: models, jobs, processes and the stored measurements."""
