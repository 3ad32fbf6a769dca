"""Feeding: from a recording or a live stream to chunks of frames in Redis.

Here stand the feed, what it writes to Redis, and how it packs frames. `sources` opens what the user names; `decoding`
runs in a child process of its own.
"""
