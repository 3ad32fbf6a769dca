"""From published face data to a prepared set: read, cut, cleaned, split, balanced and indexed. No Keras.

`layouts` reads the sources, `selection` decides which pictures stay and in which split.
"""
