"""Redis over TLS with the users of `deploy/redis/users.acl`: each can do its work, and not the others'."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from tests.gallery import render_gallery
from tests.processes import called, eventually, json_lines, ran, worker_pids, workers
from tests.security.contents import contents
from tests.security.servers import Guarded, guarded_redis, url
from worker.contract.connection import RedisUnusable, connect
from worker.contract.lifetimes import ARCHIVED_S

Deed = Callable[[redis.Redis], Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Guarded]:
    with guarded_redis() as running:
        yield running


@pytest.fixture(scope="module")
def ingested(server: Guarded, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The events of a lecture that producer and worker made together, each as its own user."""
    video = tmp_path_factory.mktemp("video") / "g.mp4"
    render_gallery(video, people=2, seconds=3, size=(640, 360))
    with workers(server.urls["worker"], 1):
        eventually(lambda: worker_pids(server.admin))  # or the producer says that no worker takes frames
        code, out, err = ran("ingest", video, "--lecture", "g", "--json", "--redis", server.urls["producer"])
    assert (code, err) == (0, "")
    return json_lines(out)


def test_a_lecture_is_ingested_over_tls_and_no_command_is_refused(
    server: Guarded, ingested: list[dict[str, Any]]
) -> None:
    assert [event["frame"] for event in ingested if event["type"] == "class"] == list(range(6))
    assert {event["participant"] for event in ingested if event["type"] == "emotion"} == {"p01", "p02"}
    assert ingested[-1]["status"] == "done"
    refused: Any = server.admin.acl_log()
    # redis-py sends its own name to the server; a refusal of that does no harm.
    assert [(entry["username"], entry["object"]) for entry in refused if "client|setinfo" not in entry["object"]] == []


def test_a_subscriber_reads_the_lecture_with_the_commands_for_reading(
    server: Guarded, ingested: list[dict[str, Any]], tmp_path: Path
) -> None:
    there = ["--redis", server.urls["subscriber"]]
    code, out, _ = called("watch", "g", "--from-start", "--json", *there)
    assert (code, json_lines(out)) == (0, ingested)
    assert called("export", "g", "-o", tmp_path / "g.csv", *there)[0] == 0
    code, out, _ = called("list", *there)
    assert (code, "done" in out) == (0, True)
    with connect(server.urls["subscriber"]) as client, client.pubsub() as listening:
        listening.subscribe("lecture:{g}:class", "lecture:{g}:participant:p01")
        assert listening.get_message(timeout=60) is not None


CHUNK, OUTCOME, STATE, STREAM = (f"lecture:{{g}}:{rest}" for rest in ("chunk:9", "outcome:9", "state", "class"))
FORBIDDEN: dict[str, list[Deed]] = {
    "subscriber": [
        lambda c: c.hgetall(CHUNK),
        lambda c: c.get(STATE),
        lambda c: c.get(OUTCOME),
        lambda c: c.hset("lecture:{g}", "status", "done"),
        lambda c: c.xadd(STREAM, {"event": "{}"}),
        lambda c: c.publish(STREAM, "{}"),
        lambda c: c.delete("lecture:{g}"),
        lambda c: c.expire("lecture:{g}", 1),
        lambda c: c.rpush("rq:queue:frames", "x"),
        lambda c: c.lrange("rq:queue:frames", 0, -1),
        lambda c: c.hgetall("rq:job:g-0"),
        lambda c: c.get("other"),
    ],
    "producer": [
        lambda c: c.hgetall(CHUNK),
        lambda c: c.hget(CHUNK, "0"),
        lambda c: c.get(OUTCOME),
        lambda c: c.set(OUTCOME, "{}"),
        lambda c: c.xadd(STREAM, {"event": "{}"}),
        lambda c: c.xadd("lecture:{g}:participant:p01", {"event": "{}"}),
        lambda c: c.set("lecture:{g}:participant:p02", "{}"),
        lambda c: c.hset("lecture:{g}:participants", "p03", "{}"),
        lambda c: c.publish(STREAM, "{}"),
        lambda c: c.lmove("rq:queue:frames", "rq:queue:frames:intermediate"),
        lambda c: c.hset("rq:worker:w", "state", "idle"),
        lambda c: c.eval("return 1", 0),
        lambda c: c.get("other"),
    ],
    "worker": [
        lambda c: c.hset(CHUNK, "0", b"pixels"),
        lambda c: c.expire(CHUNK, 99),
        lambda c: c.set("lecture:{g}:feeder", 1),
        lambda c: c.publish("other", "{}"),
        lambda c: c.set("other", 1),
        lambda c: c.eval("return redis.call('GET', 'other')", 0),
        lambda c: c.eval("return redis.call('HSET', KEYS[1], '0', 'pixels')", 1, CHUNK),
        lambda c: c.scan(),
    ],
}
DANGEROUS: list[Deed] = [
    lambda c: c.flushall(),
    lambda c: c.flushdb(),
    lambda c: c.keys(),
    lambda c: c.config_get("dir"),
    lambda c: c.config_set("dir", "/tmp"),
    lambda c: c.acl_list(),
    lambda c: c.acl_setuser("me", enabled=True),
    lambda c: c.client_list(),
    lambda c: c.client_kill("127.0.0.1:1"),
    lambda c: c.save(),
    lambda c: c.shutdown(),
    lambda c: c.slaveof("127.0.0.1", 1),
    lambda c: c.bgrewriteaof(),
    lambda c: c.execute_command("MIGRATE", "127.0.0.1", "1", "lecture:{g}", "0", "1"),
    lambda c: c.execute_command("FUNCTION", "LIST"),
    lambda c: c.swapdb(0, 1),
]


@pytest.mark.parametrize("user", FORBIDDEN)
def test_no_user_can_do_the_work_of_others_or_administer_the_server(server: Guarded, user: str) -> None:
    with connect(server.urls[user]) as client:
        for number, deed in enumerate([*FORBIDDEN[user], *DANGEROUS]):
            assert _refused(client, deed), f"{user} could do number {number}"


def _refused(client: redis.Redis, deed: Deed) -> bool:
    try:
        deed(client)
    except redis.ResponseError as refusal:
        return isinstance(refusal, NoPermissionError) or "permission" in str(refusal) or "can't access" in str(refusal)
    return False


def test_without_a_user_nothing_can_be_done(server: Guarded) -> None:
    with pytest.raises(RedisUnusable, match="refuses user or password"):
        connect(f"rediss://localhost:{server.port}?ssl_ca_certs={server.ca}")


def test_a_wrong_password_or_an_unknown_authority_is_one_line_without_the_password(server: Guarded) -> None:
    wrong = url("producer", server.port, server.ca).replace("SECRET", "SECRETS")
    no_authority = url("producer", server.port, server.ca).partition("?")[0]
    for given, said in ((wrong, "refuses user or password"), (no_authority, "cannot reach Redis")):
        for program, command in (("producer", ["list"]), ("worker", ["run"])):
            code, out, err = called(*command, "--redis", given, program=program)
            assert (code, out, len(err.splitlines())) == (2, "", 1)
            assert said in err
            assert "SECRET" not in err


@pytest.mark.parametrize("user", ["producer", "subscriber"])
def test_workers_with_another_user_end_at_their_start_with_one_line(server: Guarded, user: str) -> None:
    code, _, err = called("run", "--redis", server.urls[user], program="worker")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "does not let this user work" in err


def test_a_lecture_outlives_a_restart_of_redis_with_its_append_only_file(
    server: Guarded, ingested: list[dict[str, Any]]
) -> None:
    """Redis replays the file as user `default`, and checks the rights of that user."""
    assert ingested
    before = contents(server.admin)
    server.admin.execute_command("DEBUG", "LOADAOF")  # what it does at its start
    after = contents(server.admin)
    of_lecture = [key for key in before if key.startswith(b"lecture")]
    assert len(of_lecture) >= 5
    assert {key: after.get(key) for key in of_lecture} == {key: before[key] for key in of_lecture}


def test_archiving_and_forgetting_as_the_producer_leave_nothing(
    server: Guarded, ingested: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert ingested
    there = ["--redis", server.urls["producer"], "--archive", tmp_path]
    assert called("archive", *there) == (0, "archived lecture g\n", "")
    assert 0 < server.admin.ttl("lecture:{g}:participant:p01") <= ARCHIVED_S
    code, _, said = called("forget", "g", "--redis", server.urls["subscriber"], "--archive", tmp_path)
    assert (code, len(said.splitlines())) == (2, 1)
    assert "does not let this user do that" in said
    assert called("forget", "g", *there)[0] == 0
    assert list(tmp_path.iterdir()) == []
    assert [key for key in server.admin.scan_iter() if b"{g}" in key or b"g-" in key] == []
