"""Training makes, measures and quantizes the models that the worker runs.

Of the worker it imports perception and the contract; nothing of the worker imports training.
"""

import os

# TensorFlow reads this when it is imported. By default it leaves oneDNN out on processors without AVX-512; a training
# picture of ResNet50V2 then takes 141 instead of 37 core-milliseconds.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
