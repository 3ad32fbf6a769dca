"""Every query of the dashboards and rules returns data in the middle of a lecture.

A real Redis, worker and producer, and a real Prometheus that scrapes them.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av
import pytest
import redis

from tests.deploy.prometheus import Prometheus, program, running_prometheus
from tests.deploy.queries import board, filled_in, promql, streams
from tests.gallery import render_gallery
from tests.processes import eventually, workers
from tests.streams import free_port
from worker.perception.manifest import MODELS, load_manifest

LECTURE = "monday-9"

# An hour: no worker is so fast that the lecture ends before the tests, which stop it.
PART_S, PARTS = 30, 120
LOOK_BACK_S = 8.0


def render_hour(path: Path) -> None:
    """A gallery of four people that is shown again and again."""
    part = path.with_name("part.mp4")
    render_gallery(part, people=4, seconds=PART_S, size=(640, 360), fps=2)
    with av.open(str(part)) as source, av.open(str(path), "w") as hour:
        video = source.streams.video[0]
        stream = hour.add_stream_from_template(video)
        for begin in range(0, PARTS * PART_S, PART_S):
            source.seek(0)
            for packet in source.demux(video):
                if packet.pts is not None and packet.dts is not None:
                    packet.pts += int(begin / packet.time_base)
                    packet.dts += int(begin / packet.time_base)
                    packet.stream = stream
                    hour.mux(packet)


@pytest.fixture(scope="module")
def running_lecture(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a worker host and a producer in the middle of a lecture of four people."""
    program("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    video = folder / "lecture.mp4"
    render_hour(video)
    worker, producer = free_port(), free_port()
    command = [sys.executable, "-m", "producer", "ingest", str(video), "--lecture", LECTURE, "--redis", redis_server]
    command += ["--json", "--metrics-port", str(producer), "--max-bytes", "2000000", "--fps", "4"]
    targets = {"lecturepulse-worker": [f"127.0.0.1:{worker}"], "lecturepulse-producer": [f"127.0.0.1:{producer}"]}
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(redis_server))
        client.flushall()
        client.config_set("maxmemory", "256mb")  # a limit, so that the share of it exists
        stack.callback(client.config_set, "maxmemory", 0)
        stack.enter_context(workers(redis_server, 1, "--metrics-port", str(worker)))
        feeding = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        stack.callback(feeding.terminate)
        yield stack.enter_context(running_prometheus(targets, folder))


def test_every_panel_of_every_dashboard_shows_data(running_lecture: Prometheus) -> None:
    # `or vector(0)` draws zeros if there is no series, and would hide a misspelled one.
    queries = {place: expr.replace(" or vector(0)", "") for place, expr in promql(LECTURE)}
    assert len(queries) >= 45
    empty: list[str] = []

    def all_have_data() -> bool:
        empty[:] = [place for place, expr in queries.items() if not running_lecture.series(expr, LOOK_BACK_S)]
        return not empty

    eventually(all_have_data, patience=100, why=lambda: f"no data: {', '.join(empty)}")


def test_the_list_of_lectures_has_the_running_one(running_lecture: Prometheus) -> None:
    found: list[str] = []

    def there_are_some() -> bool:  # not at a moment at which a busy machine missed a scrape
        answer = running_lecture.ask("query", query="count by (lecture) (lecturepulse_lecture_faces)")["result"]
        found[:] = [each["metric"]["lecture"] for each in answer]
        return bool(found)

    eventually(there_are_some)
    assert found == [LECTURE]


def test_every_rule_evaluates_every_recorded_series_exists_and_no_alert_is_active(running_lecture: Prometheus) -> None:
    rules = [rule for group in running_lecture.ask("rules")["groups"] for rule in group["rules"]]
    recorded = [rule["name"] for rule in rules if rule["type"] == "recording"]
    eventually(lambda: all(running_lecture.series(name, LOOK_BACK_S) for name in recorded))
    active: list[str] = []

    def no_alert_is_active() -> bool:  # a missed scrape makes NoWorker pending for a moment
        rules[:] = [rule for group in running_lecture.ask("rules")["groups"] for rule in group["rules"]]
        active[:] = [rule["name"] for rule in rules if rule["type"] == "alerting" and rule["state"] != "inactive"]
        return active == []

    eventually(no_alert_is_active, why=lambda: f"active: {', '.join(active)}")
    assert [rule.get("lastError") for rule in rules if rule["health"] != "ok"] == []


def test_redis_has_what_the_participant_dashboard_reads(running_lecture: Prometheus, redis_server: str) -> None:
    """Its variable and its queries, sent as Grafana's Redis data source sends them."""
    with redis.Redis.from_url(redis_server) as client:
        (variable,) = [each for each in board("participant")["templating"]["list"] if each["name"] == "participant"]
        choice = filled_in(variable["query"], LECTURE, "").split()
        eventually(lambda: client.execute_command(*choice))
        people = sorted(name.decode() for name in client.execute_command(*choice))
        assert people[0] == "p01"
        networks = {model.name for model in load_manifest(MODELS).models}
        queries = list(streams(LECTURE, people[0]))
        assert len(queries) >= 7
        for panel, query in queries:
            assert query["type"] == "command"
            start, end = ("-", "+") if query["command"] == "xrange" else ("+", "-")
            entries: Any = client.execute_command(
                query["command"].upper(), query["keyName"], start, end, "COUNT", query["count"]
            )
            events = [json.loads(fields[b"event"]) for _, fields in entries]
            assert events
            apart = next(each for each in panel["transformations"] if each["id"] == "extractFields")["options"]
            for path in (each["path"] for each in apart["jsonPaths"]):
                # An event has an expression or the reason why there is none; `models` has those that were asked.
                model = path.removeprefix("models.")
                expected = [
                    event
                    for event in events
                    if event["readable"] == (path != "reason") and (model == path or model in event["models"])
                ]
                assert model == path or model in networks
                assert all(_at(event, path) is not None for event in expected), f"{panel['title']}: no {path}"


def _at(event: dict[str, Any], path: str) -> Any:
    value: Any = event
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
