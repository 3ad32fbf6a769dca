"""Keys, messages and the ledger, written and read; and URLs without their credentials."""

from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from worker.contract.credentials import masked, without_credentials
from worker.contract.jobs import job_id
from worker.contract.keys import LectureKeys, checked_id, lecture_of_info_key
from worker.contract.lecture_hash import ledger_from_hashes
from worker.contract.messages import (
    Chunk,
    ChunkHead,
    ClassEvent,
    EmotionEvent,
    EndEvent,
    Ending,
    FrameStamp,
    InFlight,
    Ledger,
    decode_event,
    encode,
)

IDS = st.text(ascii_letters + digits + "_-", min_size=1, max_size=64)


OLDER_EVENT = (
    '{"type":"emotion","lecture":"l","participant":"p01","frame":1,"t":0.5,"box":[1,2,3,4],"detection":0.9,'
    '"emotion":"anger","scores":{"anger":1.0},"smoothed":{"anger":1.0},"valence":-0.5,"arousal":0.6,"models":{},'
    '"model_version":"m","v":1}'
)


def test_events_from_before_faces_could_be_unreadable_are_readable() -> None:
    event = decode_event(OLDER_EVENT)
    assert isinstance(event, EmotionEvent)
    assert (event.readable, event.emotion, event.reason or None) == (True, "anger", None)
    assert decode_event(encode(event)) == event
    older_class = '{"type":"class","lecture":"l","frame":1,"t":0.5,"faces":2,"scores":{"anger":1.0},"valence":-0.5,'
    older = decode_event(older_class + '"arousal":0.6,"model_version":"m","v":1}')
    assert isinstance(older, ClassEvent)
    assert (older.unreadable, older.turned_away, event.pose) == (0, UNSET, UNSET)


@given(IDS, IDS)
def test_all_keys_of_a_lecture_share_its_slot_and_the_info_key_contains_its_id(lecture: str, participant: str) -> None:
    keys = LectureKeys(lecture)
    names = [keys.info, keys.participants, keys.participant(participant), keys.class_, keys.chunk(3), keys.in_flight]
    names += [keys.outcome(3), keys.state, keys.feeder]
    assert all(name.startswith(f"lecture:{{{lecture}}}") for name in names)
    assert len(set(names)) == len(names)
    assert [lecture_of_info_key(name) for name in names] == [lecture] + [None] * (len(names) - 1)


@pytest.mark.parametrize("value", ["", "a/b", "a b", "a\n", "ü", "{x}", "*", "a" * 65, "../x"])
def test_an_id_that_could_escape_a_key_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is not 1 to 64 letters"):
        checked_id(value, "lecture id")
    with pytest.raises(ValueError, match="is not 1 to 64 letters"):
        LectureKeys(value)
    with pytest.raises(ValueError, match="is not 1 to 64 letters"):
        LectureKeys("l").participant(value)


@given(st.lists(st.binary(max_size=40), max_size=5), st.one_of(st.none(), st.just(Ending("stopped", "why"))))
def test_a_chunk_is_read_from_its_hash_as_it_was_written(pictures: list[bytes], ending: Ending | None) -> None:
    chunk = Chunk(ChunkHead([FrameStamp(n, n / 2) for n in range(len(pictures))], 640, 360, ending), pictures)
    stored = {field.encode(): value for field, value in chunk.to_hash().items()}
    assert Chunk.from_hash(stored) == chunk
    assert chunk.size == sum(map(len, pictures))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"head": b"no json"},
        {b"head": b'{"frames": [{"frame": -1, "t": 0}], "width": 1, "height": 1}', b"0": b""},
        *(
            {b"head": head}
            for head in (
                b'{"frames": [[0, 0]], "width": 1, "height": 1}',
                b'{"frames": [{"frame": 0, "t": 0}], "width": 1, "height": 1}',
                b'{"frames": [], "width": 0, "height": 1}',
                b'{"frames": [], "width": 65537, "height": 1}',
                b'{"frames": [], "width": 1, "height": 1, "v": 2}',
            )
        ),
        *(
            {b"head": b'{"frames": [{"frame": %s, "t": %s}], "width": 1, "height": 1}' % number_and_time, b"0": b""}
            for number_and_time in (
                (b"1e300", b"0"),
                (b"9007199254740993", b"0"),
                (b"0", b"-1"),
                (b"0", b"1e300"),
                (b"0", b"NaN"),
            )
        ),
    ],
)
def test_a_hash_that_is_not_a_chunk_is_refused(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # any of msgspec's, which are ValueErrors
        Chunk.from_hash(fields)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b'{"type": "joke"}', b'{"type": "end", "v": 2}', b'{"type": "class"}'),
        OLDER_EVENT.replace('"t":0.5', '"t":1e300'),
        OLDER_EVENT.replace('"box":[1,', '"box":[99999999999999999999,'),
    ],
)
def test_an_event_of_another_version_or_type_or_beyond_all_limits_is_refused(data: bytes | str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # any of msgspec's, which are ValueErrors
        decode_event(data)


def test_an_event_with_unknown_fields_is_read() -> None:
    event = EndEvent("l", "done", None, Ledger(sampled=3, published=3))
    assert decode_event(encode(event)[:-1] + b', "new": 1}') == event


def test_the_ledger_counts_frames_in_flight_and_balances() -> None:
    info = {b"sampled": b"10", b"published": b"4", b"failed": b"2", b"failed:timeout": b"2", b"dropped": b"1"}
    ledger = ledger_from_hashes(info, {b"7": encode(InFlight(3, 900))})
    assert (ledger.in_flight, ledger.reasons, ledger.balances) == (3, {"failed:timeout": 2}, True)
    assert not ledger_from_hashes(info, {}).balances


def test_no_two_chunks_share_a_job() -> None:
    ids = {job_id(lecture, chunk) for lecture in ("a", "a-1", "a-1-1") for chunk in (1, 11, 2)}
    assert len(ids) == 9


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@host:6379/0", "redis://host:6379/0"),
        ("rediss://:secret@host", "rediss://host"),
        ("redis://host?password=secret", "redis://host"),
        ("unix:///run/redis.sock?password=secret", "unix:///run/redis.sock"),
        ("redis://:sec/ret@host", "redis://..."),
        ("redis://:secret@[bad", "redis://..."),
        ("rtsp://camera/user=me&password=secret&channel=1/live", "rtsp://camera/.../live"),
        ("https://host/hdnts=exp=1~hmac=secret/live.m3u8", "https://host/.../live.m3u8"),
        ("rtmp://host/live/secret", "rtmp://host/live/..."),
        ("RTMPS://host/live/instance/secret/", "rtmps://host/live/.../.../"),
        ("rtmp://host/secret", "rtmp://host/..."),
        ("rtmp://host/live/live", "rtmp://host/live/..."),
        ("srt://host:9000/secret?streamid=secret", "srt://host:9000/..."),
        ("https://host/token/secret/x.m3u8", "https://host/token/.../x.m3u8"),
    ],
)
def test_a_url_without_credentials_contains_no_secret(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


TOKENS = (
    "d41d8cd98f00b204e9800998ecf8427e",
    "d41d8cd98f00b204",
    "123e4567-e89b-12d3-a456-426614174000",
    "live_123456789_AbCdEfGhIjKlMnOpQrStUvWxYz",
    "a1b2-c3d4-e5f6-g7h8-i9j0",
    "k3yA9x2Q",
    "dGhpcyBpcyBhIHNlY3JldA%3D%3D",
    "qL9-x_2TzV8mYw3RkB0aPfGh",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "SECRETKEY1234567890",
    "kVhWqTzRnbXcPmLd",
)
NAMES = (
    "live/lecture.m3u8",
    "hall/1/Streaming/Channels/101",
    "lecture_2026-11-26_1015.mp4",
    "GMT20261126-101500_Recording_1920x1080.mp4",
    "2026-11-26T10-15-00Z/index.m3u8",
    "Wirtschaftsinformatik/MachineLearningLecture.mp4",
    "introduction-to-machine-learning-part-3.mp4",
    "axis-media/media.amp",
    "h264Preview_01_main",
)


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_in_a_path_is_not_shown(token: str) -> None:
    for suffix in ("", ".m3u8", "/x.m3u8"):
        hidden = "..." + suffix.removeprefix(".m3u8")
        for scheme in ("http", "https", "rtsp"):
            assert without_credentials(f"{scheme}://host/live/{token}{suffix}") == f"{scheme}://host/live/{hidden}"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_path_is_shown(name: str) -> None:
    assert without_credentials(f"https://host/{name}") == f"https://host/{name}"


def test_a_line_shows_no_secret_of_its_urls_and_the_rest_as_it_is() -> None:
    for url, shown in (
        ("rtmp://me:SECRET@host/live/SECRET", "rtmp://host/live/..."),
        ("rtmp:/host/live/SECRET", "rtmp:/host/live/..."),
        ("https://host/live/d41d8cd98f00b204/x.m3u8?t=SECRET", "https://host/live/.../x.m3u8"),
        ("redis://host:1/0", "redis://host:1/0"),
        ("unix:///tmp/d41d8cd98f00b204/redis.sock", "unix:///tmp/d41d8cd98f00b204/redis.sock"),
    ):
        line = "({0}) '{0}': no answer from {0}; write rtmp://HOST/PATH or tcp://HOST:PORT, not {0}."
        assert masked(line.format(url)) == line.format(shown)
        assert masked(masked(line.format(url))) == line.format(shown)
