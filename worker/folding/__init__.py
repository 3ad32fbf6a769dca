"""Observations to events, as pure functions `(state, observations) -> (state, events)`.

No Redis, no pixels, no clock. Importing this package loads neither redis nor cv2 nor a model runtime.
"""
