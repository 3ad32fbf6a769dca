"""Names from a roster, by id and by tile."""

import csv
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pyarrow import parquet

from producer.reading.analysis.names import Names, Roster, RosterRefused, Tile
from producer.reading.export import export
from producer.reading.formats.rows import COLUMNS
from producer.reading.lectures import LectureUnknown
from producer.reading.roster import MAX_ROSTER_BYTES, names_in, read_roster
from producer.reading.roster_form import roster_form
from tests.producer.reading.writing import begin, commit, emotion, end, write
from worker.contract.keys import LectureKeys
from worker.contract.messages import EmotionEvent

LEFT, RIGHT = Tile("Ann", (0, 0, 640, 360)), Tile("Bob", (640, 0, 640, 360))


def track(participant: str, middles: Sequence[int]) -> list[EmotionEvent]:
    """A participant whose face has its middle at these x, frame by frame."""
    return [replace(emotion("l", participant, frame), box=(x - 50, 100, 100, 100)) for frame, x in enumerate(middles)]


def names(roster: Roster, *tracks: list[EmotionEvent]) -> Names:
    found = Names(roster)
    for track in tracks:
        for event in track:
            found.add(event)
    return found


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "roster.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_documented_form_is_read_and_names_are_any_text(tmp_path: Path) -> None:
    content = """
participants:
  p01: Alice
tiles:                       # x, y, width, height in pixels of the recording
  - {name: Bob, box: [640, 0, 640, 360]}
"""
    assert read_roster(written(tmp_path, content)) == Roster({"p01": "Alice"}, [RIGHT])
    assert read_roster(written(tmp_path, "participants:\ntiles:\n")) == Roster()
    name = "Zoë 🎓 王 O'Neill"
    assert read_roster(written(tmp_path, f'participants: {{p01: "{name}"}}')) == Roster({"p01": name})


def test_a_roster_may_say_who_does_not_count_for_the_class_and_names_may_be_missing(tmp_path: Path) -> None:
    content = """
participants:
  p01: Alice
  p02: {name: Carol, role: lecturer}
  p03: {exclude: true}
  p04: ""
  p05:
  p06: {name: "  "}
tiles: [{name: Bob, box: [640, 0, 640, 360], exclude: true}, {name: "", box: [0, 0, 640, 360]}]
"""
    found = Names(read_roster(written(tmp_path, content)))
    for event in [*track("p07", [800] * 3), *track("p04", [100] * 3)]:
        found.add(event)
    seen = [f"p0{n}" for n in range(1, 9)]
    named = {"p01": "Alice", "p02": "Carol", "p07": "Bob"}
    assert {each: name for each in seen if (name := found.of(each)) is not None} == named
    assert found.left_out(seen) == {"p02": "lecturer", "p03": "excluded", "p07": "excluded"}
    assert found.left_out(["p01"]) == {}
    assert found.check(seen) == ""


def test_the_roster_to_fill_in_has_times_and_tiles_and_is_accepted_as_it_is(
    client: redis.Redis, tmp_path: Path
) -> None:
    begin(client, "l")
    with pytest.raises(RosterRefused, match="lecture l has no participants to name: nobody was seen in it"):
        roster_form(client, "l")
    people = ("p01", "p02", "p10")
    for each, x in zip(people, (100, 300, 540), strict=True):
        commit(client, "l", [replace(emotion("l", each, frame), box=(x - 20, 40, 40, 40)) for frame in range(4)])
    end(client, "l")
    form = roster_form(client, "l")
    assert "recording, which has 640 by 360" in form
    assert '  p10: ""  # 0:00:00 to 0:00:01, 100% of the frames, top right, tile: [420, 0, 220, 150]\n' in form
    unfilled = Names(read_roster(written(tmp_path, form)))
    assert [unfilled.of(each) for each in people] == [None] * 3
    filled = form.replace('p01: ""', 'p01: "Zoë: #1"').replace('p02: ""', 'p02: {name: "Ann", role: lecturer}')
    names = Names(read_roster(written(tmp_path, filled)))
    assert [names.of(each) for each in people] == ["Zoë: #1", "Ann", None]
    assert names.left_out(people) == {"p02": "lecturer"}
    client.hset(LectureKeys("l").info, "class_only", 1)
    client.delete(LectureKeys("l").participants)
    with pytest.raises(RosterRefused, match="it was ingested with --class-only"):
        roster_form(client, "l")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is not a mapping"),
        ("[p01, p02]", "is not a mapping"),
        ("participants: {p01: Alice", "is not valid YAML: expected ',' or '}'"),
        (b"\xff\xfe\x00", "is not valid YAML"),
        ("participants: {p01: !!python/object/apply:os.getcwd []}", "could not determine a constructor"),
        ("participants: {p01: !!bool Alice}", "is not valid YAML"),
        ("participants: {p01: &a Ann, p02: *a}", "aliases (*) are not allowed in line 1"),
        ("participants: {p01: Ann, p02: Bob, p01: Eve}", "'p01' is there twice in line 1"),
        ("tiles: [" + "{name: A, box: [0, 0, 9, 9]}, " * 1001 + "]", "length <= 1000"),
        ("[" * 2_000, "is not valid YAML"),
        (b"#" * (MAX_ROSTER_BYTES + 1), "is larger than 256 KiB"),
        ("people: {p01: Alice}", "unknown field `people`"),
        ("participants: [Alice]", "Expected `object | null`, got `array`"),
        ("participants: {p01: 7}", "Expected `str | object | null`, got `int`"),
        ("participants: {p01: {name: Al, role: boss}}", "Invalid enum value 'boss'"),
        ("participants: {p01: {name: Al, exclude: maybe}}", "Expected `bool`, got `str`"),
        ("participants: {1: Alice}", "Expected `str`, got `int`"),
        ("participants: {p 1: Alice}", "participant id 'p 1' is not 1 to 64 letters"),
        ("tiles: [{name: Bob}]", "missing required field `box`"),
        ("tiles: [{name: Bob, box: [0, 0, 10]}]", "length 4"),
        ("tiles: [{name: Bob, box: [0, 0, 0, 10]}]", "> 0.0"),
        (f"participants: {{p01: {'x' * 65}}}", "is not 1 to 64 printable characters"),
        ('participants: {p01: "a\\e[31m"}', "is not 1 to 64 printable characters"),
        ('participants: {p01: "a\\u2028b"}', "is not 1 to 64 printable characters"),
        ("participants: {p01: Ann, p02: Ann}", "name 'Ann' is there twice"),
        ("participants: {p01: Ann}\ntiles: [{name: Ann, box: [0, 0, 9, 9]}]", "name 'Ann' is there twice"),
    ],
)
def test_an_invalid_roster_is_refused_in_one_line_that_says_why(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(RosterRefused) as refused:
        read_roster(path)
    message = str(refused.value)
    assert reason in message
    assert message.startswith(f"roster '{path}': ")
    assert len(message.splitlines()) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
CONTENTS = st.dictionaries(st.sampled_from(["participants", "tiles", "names"]), VALUES).map(json.dumps)


@given(st.binary(max_size=60) | CONTENTS.map(str.encode))
def test_any_content_is_either_a_roster_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = written(tmp_path_factory.getbasetemp(), content)
    with suppress(RosterRefused):
        assert isinstance(read_roster(path), Roster)


def test_a_tile_names_the_participant_who_is_in_it_most_of_the_time() -> None:
    found = names(Roster(tiles=[LEFT, RIGHT]), track("p01", [100] * 6 + [800] * 4), track("p02", [800] * 6 + [100] * 4))
    assert (found.of("p01"), found.of("p02"), found.of("p03")) == ("Ann", "Bob", None)
    found.check(["p01", "p02"])


@pytest.mark.parametrize(
    ("middles", "name"), [([100, 800], None), ([640], "Bob"), ([639], "Ann"), ([100] * 2 + [800] * 3, "Bob")]
)
def test_the_middle_of_a_face_decides_in_most_frames(middles: list[int], name: str | None) -> None:
    once, again = track("p01", middles), track("p01", middles[:2])
    assert names(Roster(tiles=[LEFT, RIGHT]), once, again).of("p01") == name, "an event that comes again counts once"


def test_a_name_by_id_leaves_the_tile_to_others() -> None:
    roster = Roster({"p01": "Cleo"}, [LEFT])
    found = names(roster, track("p01", [100] * 9), track("p02", [100] * 9))
    assert (found.of("p01"), found.of("p02")) == ("Cleo", "Ann")
    found.check(["p01", "p02"])


@pytest.mark.parametrize(
    ("tiles", "people", "reason"),
    [
        ([LEFT], ["p01", "p02"], "tile 'Ann' shows p01 and p02; name them by their ids"),
        ([LEFT, Tile("Whole", (0, 0, 1280, 720))], ["p01"], "tiles 'Ann' and 'Whole' both show p01"),
    ],
)
def test_an_ambiguous_tile_gives_no_name_and_the_roster_is_refused(
    tiles: list[Tile], people: list[str], reason: str
) -> None:
    found = names(Roster(tiles=tiles), *(track(each, [100] * 9) for each in people))
    assert {found.of(each) for each in people} == {None}
    with pytest.raises(RosterRefused, match=reason):
        found.check(people)


def test_an_id_that_was_never_seen_is_a_warning_once_the_lecture_is_over(
    client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    roster = Roster({"p02": "Bob", "p03": ""})
    begin(client, "l")
    commit(client, "l", [emotion("l", "p01", 0)])
    assert names_in(client, "l", roster).of("p02") == "Bob"
    assert capsys.readouterr().err == ""
    end(client, "l")
    assert names_in(client, "l", roster).of("p02") == "Bob"
    assert capsys.readouterr().err == "producer: the roster names p02, not seen in the lecture; seen: p01\n"
    with pytest.raises(LectureUnknown):
        names_in(client, "k", roster)


def test_exports_have_a_column_or_field_for_the_name_and_redis_does_not_change(
    client: redis.Redis, tmp_path: Path
) -> None:
    write(client, "l", [{"p01", "p02"}, {"p01"}])
    before = {key: client.dump(key) for key in client.scan_iter("*")}
    roster = Roster(tiles=[Tile("Ann, née Lee", (0, 0, 1280, 720))], participants={"p02": "Bob"})
    for suffix in ("csv", "parquet", "jsonl"):
        assert export(client, "l", tmp_path / f"e.{suffix}", roster).over
    expected = [("p01", "Ann, née Lee"), ("p02", "Bob"), ("p01", "Ann, née Lee")]
    with (tmp_path / "e.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "e.parquet")
    lines = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text(encoding="utf-8").splitlines()]
    assert list(rows[0]) == table.column_names == [*COLUMNS["people"], "name"]
    for written in (rows, table.to_pylist(), [line for line in lines if line["type"] == "emotion"]):
        assert [(row["participant"], row["name"]) for row in written] == expected
    assert not any("name" in line for line in lines if line["type"] != "emotion")
    assert {key: client.dump(key) for key in client.scan_iter("*")} == before


def test_the_roster_to_fill_in_has_no_tile_of_somebody_with_a_recording_of_their_own(client: redis.Redis) -> None:
    write(client, "l", [["alice", "bob"]] * 4)
    client.hset(LectureKeys("l").info, "source", "alice=a.mp4, bob=b.mp4")
    assert '  alice: ""  # 0:00:00 to 0:00:01, 100% of the frames\n' in roster_form(client, "l")
