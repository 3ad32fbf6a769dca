"""Conversion: from a run's network to the quantized TFLite file that the worker runs.

Only `convert` loads TensorFlow, and only when it converts.
"""
