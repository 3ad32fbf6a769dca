"""The whole content of a Redis. (DUMP would compress it.)"""

from typing import Any

import redis


def contents(client: redis.Redis) -> dict[bytes, bytes]:
    """Every key, and the bytes of all its values joined."""
    found: dict[bytes, bytes] = {}
    for key in client.scan_iter():
        found[key] = b"\n".join(_parts(_read(client, key)))
    return found


def _read(client: redis.Redis, key: bytes) -> Any:
    kind: Any = client.type(key)
    read: dict[bytes, Any] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"stream": client.xrange,
        b"none": lambda _: b"",  # it expired meanwhile
    }
    return read[kind](key)


def _parts(value: Any) -> list[bytes]:
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, dict):
        return [part for pair in value.items() for each in pair for part in _parts(each)]
    return [part for each in value or () for part in _parts(each)]
