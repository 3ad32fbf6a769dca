"""Measuring models on labelled pictures, through the worker's own code, so that the metrics are those of the worker.

How models are weighed is decided in `training.weighing`. No Keras.
"""
