"""Whether any worker listens to a Redis."""

from typing import Any

import redis
from rq import Worker

from worker.contract.queue import frame_queue


def workers_listen(client: redis.Redis) -> bool:
    """Whether a live worker takes jobs from this Redis."""
    keys: Any = Worker.all_keys(queue=frame_queue(client))
    return bool(keys) and bool(client.exists(*keys))  # RQ still lists a dead worker, but its key has expired
