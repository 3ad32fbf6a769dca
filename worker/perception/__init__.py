"""Pixels to observations: faces, the emotions they display, and appearance descriptors.

Nothing is kept from one chunk to the next. Nothing here knows Redis or metrics: counts and durations are returned.
"""
