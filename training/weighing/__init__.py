"""Weighing the models of an ensemble: weights, temperature and threshold, from predictions for labelled pictures.

`weights`, `temperature` and `threshold` are pure: arrays in, numbers out. `ensemble` applies them to a manifest.
"""
