"""Measuring models on labelled pictures, through the worker's own code, so that a metric is that of the worker.

How models are weighed is decided in `training.weighing`. No Keras.
"""
