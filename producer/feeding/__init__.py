"""Feeding: from a recording or a live stream to chunks of frames in Redis.

The modules here are the feed, what it writes to Redis, and how it packs frames. `sources` opens recordings and streams;
`decoding` runs in a child process.
"""
