"""What makes a Redis server unusable, from its answer to INFO. Pure."""

import re
from collections.abc import Mapping
from typing import Any

OLDEST_REDIS = (6, 2)
"""The oldest server that works: LMOVE and BLMOVE (RQ's safe dequeue) and CLIENT INFO came with 6.2. All else that we
use is older; the newest of it is SCAN with TYPE (6.0). Valkey, KeyDB and Dragonfly answer with the version of Redis
that they are compatible with."""


def unusable(info: Mapping[str, Any], writing: bool) -> str | None:
    """The end of a message that begins with the server's address: why it cannot be used, and what to do; or None.

    `info` is as redis-py parses it; fields that a server leaves out do no harm, except its version. With `writing` the
    server must be able to hold a new lecture: it is a master and never evicts keys. Reading needs neither.
    """
    if info.get("redis_mode") == "sentinel":
        return "is a Sentinel, which holds no data; give the address of its master"
    oldest = ".".join(map(str, OLDEST_REDIS))
    version = str(info.get("redis_version", ""))
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None:
        return f"does not give its version (redis_version in INFO); LecturePulse needs Redis {oldest} or newer"
    if tuple(map(int, numbers.groups())) < OLDEST_REDIS:
        return f"is {version}; LecturePulse needs {oldest} or newer"
    if info.get("redis_mode") == "cluster" or str(info.get("cluster_enabled", 0)) == "1":
        return "runs in cluster mode, where RQ's queue does not work; give a single Redis (docs/decisions.md says why)"
    if not writing:
        return None
    if info.get("role") in ("slave", "replica"):
        master = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
        return f"is a replica, where nothing can be kept; give the address of its master ({master})"
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        return (
            f"has maxmemory-policy {policy}, which deletes frames and results when memory is short; "
            "set maxmemory-policy noeviction"
        )
    return None
