"""The worker: faces, emotions and participants, from frames in Redis to events in Redis."""
