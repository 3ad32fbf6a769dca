"""A real Prometheus on loopback, with the configuration of deploy/prometheus and the targets of a test."""

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import DEPLOY
from tests.processes import eventually
from tests.streams import free_port

FOLDER = DEPLOY / "prometheus"


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`; skips the test if it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian's package prometheus)")
    return found


class Prometheus:
    """The HTTP API of a running Prometheus."""

    def __init__(self, port: int) -> None:
        self._api = f"http://127.0.0.1:{port}/api/v1/"

    def series(self, expr: str, seconds: float) -> list[dict[str, Any]]:
        """The series of `expr` that had a number in the last `seconds`, queried as a panel does."""
        now = time.time()
        found = self.ask("query_range", query=expr, start=now - seconds, end=now, step=1)["result"]
        return [each for each in found if any(value not in ("NaN", "+Inf", "-Inf") for _, value in each["values"])]

    def ask(self, what: str, **given: object) -> dict[str, Any]:
        """The answer's data; urllib.error.HTTPError if the query is invalid."""
        with urllib.request.urlopen(f"{self._api}{what}?{urllib.parse.urlencode(given)}", timeout=60) as answer:
            return dict(json.load(answer)["data"])

    def answers(self) -> bool:
        try:
            return bool(self.ask("status/buildinfo"))
        except OSError:
            return False


@contextmanager
def running_prometheus(targets: dict[str, list[str]], folder: Path) -> Iterator[Prometheus]:
    """A Prometheus with the rules of deploy/prometheus, which scrapes `targets` (job -> hosts) every second."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert {each["job_name"] for each in config["scrape_configs"]} == set(targets)
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(FOLDER / "rules.yml")]
    for each in config["scrape_configs"]:
        del each["dns_sd_configs"]
        each["static_configs"] = [{"targets": targets[each["job_name"]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with subprocess.Popen(command) as server:
        try:
            running = Prometheus(port)
            eventually(running.answers)
            yield running
        finally:
            server.terminate()
