"""From a fitted network to the TFLite file that the worker runs."""
