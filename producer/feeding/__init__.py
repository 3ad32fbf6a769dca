"""Feeding: from a recording or a live stream to chunks of frames in Redis.

`source` opens what a `request` asks for, by its `address`, as a `recording`, several `recordings` or `live`; `packing`
and `backlog` make chunks of its frames; `feed` pushes them and keeps within the byte budget. What runs in the decoder's
process: `decoder`, `container`, `video` and `sampling` for recordings, `broadcast` and `pacing` for what is live.
"""
