"""Keras networks: the three architectures, the weights they start from, and the layer that augments pictures."""
