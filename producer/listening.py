"""Whether anybody is there to do the work."""

from typing import Any

import redis
from rq import Worker

from worker.contract.queue import frame_queue


def workers_listen(client: redis.Redis) -> bool:
    """Whether a worker that shows signs of life takes frames from this Redis."""
    keys: Any = Worker.all_keys(queue=frame_queue(client))
    return bool(keys) and bool(client.exists(*keys))  # the key of one that died expires, its name stays listed
