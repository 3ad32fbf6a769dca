"""Keras networks: architectures, saved networks, the weights they start from, and the layer that augments pictures.

Nothing here reads or writes a run; that is `training.fitting`.
"""
