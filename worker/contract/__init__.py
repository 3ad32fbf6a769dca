"""The contract between producer, workers and subscribers, version 1. All that the producer may import of the worker.

`keys` says where things are, `messages` what they look like, `server` how both sides speak to Redis.
"""
