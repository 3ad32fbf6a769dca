"""Measuring the shipped networks on labelled pictures, through the worker's own code. No Keras."""
