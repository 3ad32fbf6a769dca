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
VALUES = {"cells": CELLS, "defaults": {}, "all on": ALL_ON, "all off": ALL_OFF, "own secrets": OWN_SECRETS}


def container(template: dict[str, Any]) -> dict[str, Any]:
    (container,) = template["spec"]["containers"]
    return dict(container)
