"""Counters of all worker processes, gauges read from Redis, and the HTTP server from which Prometheus scrapes both.

prometheus_client reads its multiprocess folder when it is first imported. So nothing here may be imported before
`worker.cli` has set that folder.
"""
