"""What a producer counts and times, and the HTTP endpoint that serves it to Prometheus."""

import os

from worker.contract.environment import METRICS_FOLDERS

# A producer is one process, so it counts in memory. prometheus_client reads the variable when it is first imported.
for _variable in METRICS_FOLDERS:
    os.environ.pop(_variable, None)
