"""One fit: from a recipe and labelled faces to a network, with its checkpoints and charts.

Every module but `charts` loads Keras, so import them only where a fit begins.
"""
