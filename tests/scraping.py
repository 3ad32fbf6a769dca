"""Scraping metrics as Prometheus does, and checking them with its own tool."""

import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, frozenset[tuple[str, str]]]
"""A sample's name and labels."""


class Scrape(dict[Series, float]):
    """The samples of one scrape: series -> value."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.types: dict[str, str] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                series = sample.name, frozenset(sample.labels.items())
                assert series not in self, f"{series} is duplicated"
                self[series] = sample.value
                self.types[sample.name] = family.type

    def value(self, name: str, **labels: str) -> float | None:
        """The value of lecturepulse_`name`; None if there is none."""
        return self.get((f"lecturepulse_{name}", frozenset(labels.items())))

    def by(self, label: str, name: str) -> Mapping[str, float]:
        """The values of lecturepulse_`name` by the values of one of its labels."""
        return {dict(labels)[label]: value for (each, labels), value in self.items() if each == f"lecturepulse_{name}"}

    @property
    def counts(self) -> Mapping[Series, float]:
        """All samples that must never go down: counters, and the counts and buckets of histograms."""
        return {series: value for series, value in self.items() if self.types[series[0]] in ("counter", "histogram")}


def counted(name: str, **labels: str) -> float:
    """The counter lecturepulse_`name`_total of this process."""
    return REGISTRY.get_sample_value(f"lecturepulse_{name}_total", labels) or 0.0


def scrape(port: int) -> Scrape:
    """A scrape of this port on loopback."""
    status, text = get(port, "/metrics")
    assert status == 200
    return Scrape(text)


def get(port: int, path: str, method: str = "GET", accept: str = "text/plain") -> tuple[int, str]:
    """Status and body of an answer from this port on loopback."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def serves(port: int) -> bool:
    """Whether metrics are served at this port."""
    try:
        scrape(port)
    except OSError:  # refused, or closed before the answer
        return False
    return True


def listening_hosts(port: int) -> set[str]:
    """The addresses, in the form of /proc, at which a server listens at this port."""
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    hosts = [local.split(":") for _, local, _, state, *_ in sockets if state == "0A"]
    return {host for host, number in hosts if int(number, 16) == port}


def check_with_promtool(text: str) -> None:
    """Assert that promtool accepts this output."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
