"""Counters of all worker processes, gauges read from Redis, and the HTTP page that shows both to Prometheus.

prometheus_client reads its multiprocess folder when it is first imported, so nothing here may be imported before that
folder is set (`worker.cli`).
"""
