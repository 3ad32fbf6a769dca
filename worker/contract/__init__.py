"""The contract between producer, workers and subscribers, version 1. The producer imports nothing else of the worker.

`keys` names everything in Redis, `messages` and `lecture_hash` are its values, `streams` publishes and reads events,
`jobs` names the jobs. Only `connection` and `queue` speak to a server.
"""
