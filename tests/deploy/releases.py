"""Values of releases of the Helm chart, which its tests render."""

from typing import Any

LECTURES: list[dict[str, Any]] = [
    {"id": "Monday_9", "source": "https://streams.example.org/hall-3.m3u8", "options": ["--fps", "1"]},
    {"id": "m10", "sourceFrom": {"name": "hall", "key": "url"}, "schedule": "0 10 * * 1", "timeZone": "Europe/Berlin"},
    {"id": "pushed", "source": "rtmp://0.0.0.0:1935/live/KEY?listen=1", "listen": 1935},
]
ALL_ON: dict[str, Any] = {
    "image": "registry.example.org/lecturepulse@sha256:00ff",
    "imagePullSecrets": ["registry"],
    "redis": {"url": "rediss://teach:s%2Fe%40c@redis.example.org:7777/3", "ca": "our-ca"},
    "worker": {"processes": 4, "options": ["--ensemble", "full"], "max": 50},
    "lectures": LECTURES,
    "producer": {"recordings": "recordings", "webhook": "hook"},
    "serve": {
        "token": "page",
        "ingress": {"enabled": True, "host": "lp.example.org", "tlsSecret": "tls", "className": "nginx"},
    },
    "archive": {"store": "s3://lectures/all?region=eu-central-1", "secret": "archive-keys"},
    "monitoring": {"labels": {"release": "prometheus"}},
    "tolerations": [{"key": "lectures", "operator": "Exists"}],
}
ALL_OFF: dict[str, Any] = {
    "worker": {"keda": False, "min": 3},
    "serve": {"enabled": False},
    "monitoring": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "redis": {"storageClass": "fast", "secrets": "teaching"},
    "nodeSelector": {"kubernetes.io/arch": None},
    "lectures": LECTURES[:1],
}
OWN_SECRETS: dict[str, Any] = {"redis": {"url": "redis://redis.example.org", "secrets": "vault"}, "lectures": LECTURES}
CELLS: dict[str, Any] = {
    "cells": [
        {"name": "a", "url": "redis://teach:s%2Fe%40c@redis-a.example.org"},
        {"name": "b-2", "url": "rediss://redis-b.example.org:7777/3", "secrets": "vault-b"},
    ],
    "lectures": LECTURES,
    "worker": {"max": 50},
    "archive": {"claim": "archive"},
}
LOOKS_LIKE_NUMBERS: dict[str, Any] = {
    "redis": {"ca": "8", "maxmemory": "2147483648", "storageClass": "1"},
    "worker": {
        "resources": {"requests": {"cpu": 2, "memory": "1.5Gi"}, "limits": {"cpu": "250m", "memory": 2147483648}}
    },
    "lectures": [
        {"id": "2026", "source": "1"},
        {
            "id": "1e3",
            "sourceFrom": {"name": "7", "key": "0x1"},
            "schedule": "0 10 * * 1",
            "timeZone": "1",
            "listen": 1935,
        },
    ],
    "serve": {
        "token": "4",
        "lecture": "101",
        "ingress": {"enabled": True, "host": "1.2", "tlsSecret": "5", "className": "6"},
    },
    "producer": {"recordings": "3", "webhook": "9"},
    "networkPolicy": {"keda": "1", "monitoring": "2", "ingress": "3"},
    "imagePullSecrets": ["1"],
    "archive": {"secret": "7", "claim": "8"},
}
VALUES = {
    "defaults": {},
    "all on": ALL_ON,
    "all off": ALL_OFF,
    "own secrets": OWN_SECRETS,
    "cells": CELLS,
    "looks like numbers": LOOKS_LIKE_NUMBERS,
}


def container(template: dict[str, Any]) -> dict[str, Any]:
    (container,) = template["spec"]["containers"]
    return dict(container)
