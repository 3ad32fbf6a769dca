"""Training: makes, measures and quantizes the models that the worker runs."""

import os

# TensorFlow reads it when it is imported, and leaves oneDNN out by default on processors without AVX-512: a training
# picture of ResNet50V2 then costs 141 instead of 37 core-milliseconds.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
