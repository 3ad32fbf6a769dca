"""Feeding: from a recording to chunks of frames in Redis.

`source` opens a recording, `packing` makes chunks of its frames, `feed` pushes them and keeps within the byte budget.
"""
