"""From Redis to the archive and back: every command reads a lecture as before, and nothing is lost on the way."""

import re
import time
from pathlib import Path

import pytest
import redis
from msgspec import structs

from producer import follow, lectures
from producer.archive.archive import Archive
from producer.archive.lecture import ArchivedLecture
from producer.archive.place import ArchiveUnusable
from producer.cells.connections import one_cell
from producer.reading.archiving import LectureRunning, archive_lecture, trim
from producer.reading.choosing import store_of
from producer.reading.follow import ParticipantUnknown, replay
from producer.reading.follow import follow as follow_store
from producer.reading.lectures import LectureForgotten, participants, read_lecture
from tests.processes import called, json_lines, ran
from tests.producer.archive.s3 import SECRET, Store
from tests.producer.committing import committing
from tests.producer.reading.writing import begin, commit, end, frame_events, write
from worker.contract.keys import LectureKeys
from worker.contract.lifetimes import ARCHIVED_S, RETENTION_S
from worker.contract.messages import Event, encode

PRESENT = [{"p01"}, {"p01", "p02"}, set[str](), {"p02", "p03"}] * 20


def over(client: redis.Redis, lecture: str = "l") -> list[Event]:
    """A lecture that is over, as workers leave it."""
    events = write(client, lecture, PRESENT)
    client.hset(LectureKeys(lecture).info, mapping={"ended": 1090.5, "retention": RETENTION_S, "feed": "x"})
    for key in client.scan_iter(f"lecture:{{{lecture}}}*"):
        client.expire(key, RETENTION_S)
    return events


def test_an_archived_lecture_is_what_it_was_in_redis(client: redis.Redis, place: str) -> None:
    events = over(client)
    cells = one_cell(client, Archive(place))
    before, spans = read_lecture(client, "l"), participants(client, "l")
    of_p02 = list(follow_store(client, "l", "p02"))
    archive_lecture(client, Archive(place), "l")
    assert store_of(cells, "l") is client, "while its streams are there"
    client.flushall()
    store = store_of(cells, "l")
    assert isinstance(store, ArchivedLecture)
    assert (read_lecture(store, "l"), participants(store, "l")) == (before, spans)
    assert list(replay(store, "l")) == list(follow_store(store, "l")) == events
    assert list(follow_store(store, "l", "p02")) == of_p02
    assert list(follow_store(store, "l", from_start=False)) == events[-1:]
    with pytest.raises(ParticipantUnknown, match="has no participant 'p09'; it has p01, p02, p03"):
        list(follow_store(store, "l", "p09"))


def test_streams_expire_soon_and_the_hash_stays(client: redis.Redis, folder: Path) -> None:
    over(client)
    keys = LectureKeys("l")
    archive_lecture(client, Archive(str(folder)), "l")
    streams = [keys.class_, *map(keys.participant, ("p01", "p02", "p03"))]
    assert all(0 < client.ttl(each) <= ARCHIVED_S for each in streams)
    assert min(client.ttl(keys.info), client.ttl(keys.participants)) > ARCHIVED_S
    client.expire(keys.class_, 100)
    trim(client, "l")
    assert client.ttl(keys.class_) <= 100, "trimming again keeps nothing longer"
    client.unlink(*streams)
    assert isinstance(store_of(one_cell(client, Archive(str(folder))), "l"), ArchivedLecture)
    with pytest.raises(ArchiveUnusable, match="were moved to an archive; name it with --archive"):
        store_of(one_cell(client), "l")
    (folder / "l.parquet").unlink()
    with pytest.raises(ArchiveUnusable, match="are no longer in the archive"):
        store_of(one_cell(client, Archive(str(folder))), "l")


def test_a_lecture_that_can_be_resumed_keeps_its_streams(client: redis.Redis, folder: Path) -> None:
    over(client)
    keys, archive = LectureKeys("l"), Archive(str(folder))
    client.set(keys.state, b"{}")
    archive_lecture(client, archive, "l")
    assert client.ttl(keys.class_) > ARCHIVED_S
    client.hset(keys.info, "status", "running")
    with pytest.raises(LectureRunning, match="'l' is not over"):
        archive_lecture(client, archive, "l")
    assert store_of(one_cell(client, archive), "l") is client
    commit(client, "l", frame_events("l", len(PRESENT), ["p01"]))
    end(client, "l")
    client.hset(keys.info, "ended", 2000)
    archive_lecture(client, archive, "l")
    found = archive.lecture("l")
    assert found is not None
    assert list(found.events()) == list(replay(client, "l")), "the file is of the whole lecture"
    assert client.ttl(keys.class_) <= ARCHIVED_S


@pytest.mark.parametrize("again", [False, True])
def test_a_lecture_that_is_forgotten_meanwhile_does_not_stay_in_the_archive(
    client: redis.Redis, folder: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    over(client)
    digest = ArchivedLecture.digest

    def forgotten(lecture: ArchivedLecture) -> bytes:
        client.flushall()
        if again:
            begin(client, "l", started=5000)
        return digest(lecture)

    monkeypatch.setattr(ArchivedLecture, "digest", forgotten)
    with pytest.raises(LectureForgotten):
        archive_lecture(client, Archive(str(folder)), "l")
    assert list(folder.iterdir()) == []


def test_a_lecture_that_is_resumed_and_ends_meanwhile_keeps_its_streams(
    client: redis.Redis, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over(client)
    digest = ArchivedLecture.digest

    def resumed(lecture: ArchivedLecture) -> bytes:
        client.hset(LectureKeys("l").info, "ended", 2000)
        return digest(lecture)

    monkeypatch.setattr(ArchivedLecture, "digest", resumed)
    archive_lecture(client, Archive(str(folder)), "l")
    assert client.ttl(LectureKeys("l").class_) > ARCHIVED_S


def test_a_full_redis_trims_nothing_and_says_so(client: redis.Redis, redis_url: str, folder: Path) -> None:
    events = over(client)
    over(client, "m")
    options = ("--redis", redis_url, "--archive", folder)
    client.config_set("maxmemory", 1)
    try:
        code, out, err = called("archive", *options)
    finally:
        client.config_set("maxmemory", 0)
    assert (code, out, len(err.splitlines())) == (1, "", 2)
    assert "Redis is full, so no stream of 'l' is trimmed; raise maxmemory, or forget lectures" in err
    assert client.ttl(LectureKeys("l").class_) > ARCHIVED_S
    assert called("archive", *options)[:2] == (0, "archived lecture l\narchived lecture m\n")
    found = Archive(str(folder)).lecture("l")
    assert found is not None
    assert list(found.events()) == events


def test_an_archive_that_keeps_something_else_trims_nothing(
    client: redis.Redis, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over(client)
    monkeypatch.setattr(ArchivedLecture, "digest", lambda _: b"another")
    with pytest.raises(ArchiveUnusable, match="did not keep what was written"):
        archive_lecture(client, Archive(str(folder)), "l")
    assert client.ttl(LectureKeys("l").class_) > ARCHIVED_S


def test_commands_read_from_the_archive_what_they_read_from_redis(
    client: redis.Redis, redis_url: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over(client)
    over(client, "k")
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("LECTUREPULSE_ARCHIVE", place)
    commands = [
        ("list",), ("summary", "l"), ("roster", "l"), ("watch", "l", "--from-start", "--json"),
        ("watch", "l", "--participant", "p02", "--from-start"), ("export", "l", "-o", "-", "--format", "csv"),
        ("export", "l", "-o", "-", "--format", "vtt"), ("compare", "l", "k", "-o", "-"), ("report", "l", "-o", "-"),
    ]  # fmt: skip
    before = [called(*command) for command in commands]
    assert called("archive")[:2] == (0, "archived lecture k\narchived lecture l\n")
    client.flushall()
    for command, was in zip(commands, before, strict=True):
        assert plain(called(*command)) == plain(was), command
    assert [each.id for each in lectures(redis_url)] == ["k", "l"]
    assert len(list(follow("l", redis_url))) == len(list(follow("l", redis_url, archive=place))) > 100
    code, out, err = called("forget", "l")
    assert (code, out, err) == (0, "forgot lecture l\n", "")
    assert list(Archive(place).place.files()) == ["k"]
    code, out, err = called("forget", "l")
    assert (code, out, err.startswith("producer: there is no lecture 'l'")) == (2, "", True)


def plain(said: tuple[int, str, str]) -> tuple[int, str, str]:
    """What a command printed, without the time at which it did."""
    return said[0], re.sub(r"\d{1,2} \w+ 2\d{3},? \d\d:\d\d|2\d{3}-\d\d-\d\d \d\d:\d\d", "TIME", said[1]), said[2]


def test_a_store_that_is_away_loses_nothing_and_catches_up(
    client: redis.Redis, redis_url: str, store: Store, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = store.address("bucket/x")
    monkeypatch.setenv("REDIS_URL", redis_url)
    store.stop()
    with committing(redis_url):
        code, out, err = ran("ingest", video, "--lecture", "l", "--archive", address)
    assert (code, "60 frames sampled: 60 published" in out) == (0, True)
    first, second = (line for line in err.splitlines() if line.startswith("producer: "))
    assert "cannot use the archive s3://bucket/x: " in first
    assert "the lecture begins" in first
    assert second.endswith("lecture l stays in Redis; `producer archive` tries again")
    assert SECRET not in err
    events = client.xlen(LectureKeys("l").class_)
    assert client.ttl(LectureKeys("l").class_) > ARCHIVED_S
    code, out, err = called("list", "--archive", address)
    assert (code, "\nl " in out) == (1, True)
    assert "the lectures that only it has are not listed" in err
    code, out, err = called("report", "l", "-o", "-", "--archive", address)
    assert (code, err) == (0, ""), "Redis has all of it"
    store.start()
    assert called("archive", "--archive", address) == (0, "archived lecture l\n", "")
    assert called("archive", "--archive", address) == (0, "", "")
    client.flushall()
    code, out, err = called("watch", "l", "--from-start", "--json", "--archive", address)
    assert (code, err) == (0, "")
    assert len([each for each in json_lines(out) if each["type"] in ("class", "end")]) == events
    assert called("forget", "l", "--archive", address)[0] == 0


def test_ingest_archives_at_its_end(redis_url: str, client: redis.Redis, video: Path, folder: Path) -> None:
    with committing(redis_url):
        code, _, err = ran("ingest", video, "--redis", redis_url, "--lecture", "l", "--archive", folder)
    assert (code, "producer: " in err) == (0, False)
    found = Archive(str(folder)).lecture("l")
    assert found is not None
    assert list(found.events()) == list(replay(client, "l"))
    assert 0 < client.ttl(LectureKeys("l").class_) <= ARCHIVED_S


def test_a_bad_archive_is_named_before_anything_begins(
    redis_url: str, client: redis.Redis, video: Path, tmp_path: Path, store: Store
) -> None:
    for place, said in [
        (str(tmp_path / "nowhere"), "there is no such folder; create it"),
        (store.address("other/x"), "there is no such bucket"),
        ("ftp://host/x", "is neither a folder nor s3://BUCKET/PREFIX"),
    ]:
        code, out, err = ran("ingest", video, "--redis", redis_url, "--lecture", "l", "--archive", place)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert said in err
    assert client.keys() == []
    code, out, err = called("archive", "--redis", redis_url)
    assert (code, out) == (2, "")
    assert "name a folder or store, or set LECTUREPULSE_ARCHIVE" in err


def test_a_lecture_whose_streams_are_gone_is_never_archived_again(
    redis_url: str, client: redis.Redis, folder: Path, tmp_path: Path
) -> None:
    events = over(client)
    options = ("--redis", redis_url, "--archive", folder)
    assert called("archive", *options)[0] == 0
    client.delete(LectureKeys("l").class_, *client.scan_iter("lecture:{l}:participant:*"))
    assert called("archive", "l", *options) == (0, "", "")
    found = Archive(str(folder)).lecture("l")
    assert found is not None
    assert list(found.events()) == events
    (tmp_path / "other").mkdir()
    code, out, err = called("archive", "--redis", redis_url, "--archive", tmp_path / "other")
    assert (code, out, list((tmp_path / "other").iterdir())) == (1, "", [])
    assert "its events were moved to an archive before" in err


def test_a_damaged_file_is_one_line(redis_url: str, client: redis.Redis, folder: Path) -> None:
    over(client, "k")
    (folder / "l.parquet").write_bytes(b"PAR1 and no more")
    options = ("--redis", redis_url, "--archive", str(folder))
    code, out, err = called("summary", "l", *options)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "the file of lecture 'l' is damaged: " in err
    code, out, err = called("list", *options)
    assert (code, "\nk " in out, len(err.splitlines())) == (1, True, 1)


def test_a_stranger_s_event_that_fits_into_no_file_stops_only_its_lecture(
    redis_url: str, client: redis.Redis, folder: Path
) -> None:
    over(client, "k")
    over(client, "l")
    (strange,) = frame_events("k", 5000, ["p01"])[:1]
    strange = structs.replace(strange, box=(10**30, 0, 1, 1))
    client.xadd(LectureKeys("k").participant("p01"), {"event": encode(strange)})
    code, out, err = called("archive", "--redis", redis_url, "--archive", folder)
    assert (code, out, len(err.splitlines())) == (1, "archived lecture l\n", 1)
    assert "lecture 'k' cannot be read: lecture:{k}:participant:p01 has an entry" in err


def test_forget_says_what_it_cannot_erase(redis_url: str, client: redis.Redis, folder: Path) -> None:
    over(client)
    archive_lecture(client, Archive(str(folder)), "l")
    code, _, err = called("forget", "l", "--redis", redis_url)
    assert (code, "lecture 'l' is also in an archive; name it with --archive" in err) == (2, True)
    assert client.exists(LectureKeys("l").info)
    code, _, err = called("forget", "l", "--redis", redis_url, "--archive", folder / "away")
    assert (code, "lecture l is erased in Redis, but not there: forget it again" in err) == (1, True)
    assert called("forget", "l", "--redis", redis_url, "--archive", folder) == (0, "forgot lecture l\n", "")
    assert (client.keys(), list(folder.iterdir())) == ([], [])


def test_forget_says_if_the_lecture_is_in_another_archive(
    redis_url: str, client: redis.Redis, folder: Path, tmp_path: Path
) -> None:
    over(client)
    archive_lecture(client, Archive(str(folder)), "l")
    (other := tmp_path / "other").mkdir()
    code, out, err = called("forget", "l", "--redis", redis_url, "--archive", other)
    assert (code, out, client.keys()) == (1, "forgot lecture l\n", [])
    assert f"lecture l was archived, but not in {other}; forget it in its archive too" in err
    assert called("forget", "l", "--redis", redis_url, "--archive", folder)[0] == 0
    assert list(folder.iterdir()) == []


def test_what_is_over_its_retention_time_is_not_read_and_erased(
    redis_url: str, client: redis.Redis, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over(client)
    archive_lecture(client, Archive(str(folder)), "l")
    client.flushall()
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + RETENTION_S + 1)
    options = ("--redis", redis_url, "--archive", str(folder))
    assert called("list", *options) == (0, "no lectures\n", "")
    assert called("summary", "l", *options)[0] == 2
    assert called("archive", *options) == (0, "erased lecture l: its retention time is over\n", "")
    assert list(folder.iterdir()) == []


def test_a_lecture_with_the_same_id_replaces_the_archived_one(client: redis.Redis, folder: Path) -> None:
    over(client)
    archive = Archive(str(folder))
    archive_lecture(client, archive, "l")
    client.flushall()
    begin(client, "l", started=5000)
    assert store_of(one_cell(client, archive), "l") is client, "while it runs"
    commit(client, "l", frame_events("l", 0, ["p07"]))
    end(client, "l")
    client.delete(LectureKeys("l").class_)
    assert store_of(one_cell(client, archive), "l") is client, "the archived one is another lecture"
    archive_lecture(client, archive, "l")
    found = archive.lecture("l")
    assert found is not None
    assert list(found.participants) == ["p07"]
