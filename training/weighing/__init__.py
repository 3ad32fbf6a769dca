"""Weights, temperature and threshold of an ensemble, from what its networks predict for labelled pictures. No Keras."""
