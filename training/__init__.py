"""Training: makes, measures and quantizes the models that the worker runs."""
