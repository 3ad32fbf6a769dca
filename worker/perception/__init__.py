"""Pixels to observations: faces, the emotions they display, and what they look like.

It keeps nothing from one chunk to the next, and knows neither Redis nor metrics: it returns what it measured.
"""
