"""A report is one file with the results of a lecture, or there is no file."""

import json
import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import redis
import vl_convert
from msgspec import structs

from producer.presentation.caution import CAUTION
from producer.presentation.palette import STACK
from producer.presentation.web import policy
from producer.reading.analysis.moments import moments
from producer.reading.analysis.names import Person, Roster, RosterRefused, Tile
from producer.reading.analysis.sentences import sentences
from producer.reading.analysis.timeline import Timeline
from producer.reading.lectures import Lecture, LectureUnknown
from producer.reading.output_file import ExportRefused
from producer.reading.report import bundling
from producer.reading.report.chart_data import MAX_TICKS, chart_data, ticks
from producer.reading.report.charts import PARAMETERS, specs
from producer.reading.report.content import Content
from producer.reading.report.model_tests import shipped_model_tests
from producer.reading.report.page import page
from producer.reading.report.tables import NOTHING
from producer.reading.report.writing import report
from tests.processes import called
from tests.producer.reading.posing import posed
from tests.producer.reading.scripted import hidden_below, scripted_events, scripted_timeline, write_scripted
from tests.producer.reading.writing import begin, end, timeline_of
from worker.contract.keys import LectureKeys
from worker.contract.lecture_hash import LectureInfo
from worker.contract.messages import Ledger

SHIPPED = Path(__file__).parents[3] / "worker" / "models" / "manifest.json"


class Text(HTMLParser):
    """The text of a page, and its tables by id, as rows of cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tables: dict[str, list[list[str]]] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._table: list[list[str]] | None = None
        self._cell = self._silent = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._silent = tag in ("script", "style")
        if tag == "table":
            self._table = self.tables[dict(attrs)["id"] or ""] = []
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in ("td", "th") and self._table is not None:
            self._table[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._silent = False
        if tag in ("td", "th"):
            self._cell = False
        if tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self.text += data
        if self._cell and self._table is not None:
            self._table[-1][-1] += data


def content(seen: Timeline, names: dict[str, str] | None = None, **of_info: str) -> Content:
    sampled = seen.analysed
    info = structs.replace(LectureInfo("a.mp4", "done", 2, 640, 360, 1e9), **of_info)
    lecture = Lecture("l", info, Ledger(sampled, sampled), len(seen.participants), False, 0)
    version = next(iter(seen.versions), "")
    worth = moments(seen)
    tested, made = shipped_model_tests(version), datetime(2026, 11, 24, 12, 30)
    return Content(lecture, seen, worth, sentences(seen, worth), names or {}, tested, made)


def html(given: Content) -> str:
    return page(given)


def read(given: Content) -> Text:
    return Text(html(given))


def half_happy(person: int, frame: int) -> str | None:
    return "happiness" if frame >= 40 else "neutral"


def test_away_begins_after_five_seconds_or_two_frames_and_the_report_says_which() -> None:
    for fps, missing, gaps, said in (
        (2.0, 9, NOTHING, "more than 5 s "),
        (2.0, 10, "1", "more than 5 s "),
        (0.25, 1, NOTHING, "more than 8 s "),
        (0.25, 2, "1", "more than 8 s "),
    ):
        hidden = range(4, 4 + missing)
        seen = scripted_timeline(1, 40, lambda _, frame, hidden=hidden: None if frame in hidden else "fear", fps)  # type: ignore[misc]
        given = content(seen)
        found = read(replace(given, lecture=replace_fps(given.lecture, fps)))
        assert found.tables["coverage-table"][1][5] == gaps
        assert said in " ".join(found.text.split())


def replace_fps(lecture: Lecture, fps: float) -> Lecture:
    return structs.replace(lecture, info=structs.replace(lecture.info, fps=fps))


def test_the_tables_show_what_was_displayed_and_when_participants_were_seen() -> None:
    seen = scripted_timeline(
        3, 80, lambda person, frame: None if person == 2 and 20 <= frame < 60 else half_happy(person, frame)
    )
    tables = read(content(seen, {"p02": "Ann"})).tables
    heading, *rows = tables["class-table"]
    assert heading == ["from", "faces", *reversed(STACK), "valence", "arousal"]
    assert len(rows) == seen.bins == 40
    assert rows[5][:4] == ["0:00:05", "3.0", "2%", "2%"]
    assert rows[15][:2] == ["0:00:15", "2.0"]
    assert dict(zip(heading, rows[0], strict=True))["neutral"] == "88%"
    coverage = {row[0]: row[1:] for row in tables["coverage-table"][1:]}
    assert coverage["Ann (p02)"] == [
        *("100%", NOTHING, "0:00:00", "0:00:39", NOTHING, NOTHING),
        "happiness 50%, neutral 50%",
    ]
    assert coverage["p03"][:6] == ["50%", NOTHING, "0:00:00", "0:00:39", "1", "20.5 s from 0:00:09"]
    parts = {row[0]: row[1:] for row in tables["participants-table"][1:]}
    assert len(parts["p01"]) == 12
    assert (parts["p01"][0], parts["p01"][-1]) == ("neutral 88%", "happiness 88%")
    assert parts["p03"][5] == NOTHING
    assert len(json.loads(_data(html(content(seen)), "chart-data"))["strips"]) == 3


def test_faces_that_cannot_be_read_are_a_gap_of_their_own_kind() -> None:
    seen = scripted_timeline(2, 40, lambda person, frame: "turned" if person == 0 or frame >= 20 else "anger")
    given = content(seen)
    tables = read(given).tables
    heading, *rows = tables["class-table"]
    assert rows[0][:2] == ["0:00:00", "2.0 (1.0 not readable)"]
    assert dict(zip(heading, rows[0], strict=True))["anger"] == "88%"
    assert rows[-1][1:] == ["2.0 (2.0 not readable)", *[NOTHING] * 9]
    coverage = {row[0]: row[1:] for row in tables["coverage-table"][1:]}
    assert coverage["p01"] == ["100%", "100% (turned)", "0:00:00", "0:00:19", NOTHING, NOTHING, ""]
    assert coverage["p02"][:2] == ["100%", "50% (turned)"]
    assert coverage["p02"][-1] == "anger 100%"
    parts = {row[0]: row[1:] for row in tables["participants-table"][1:]}
    assert (parts["p02"][0], parts["p02"][-1]) == ("anger 88%", "not readable")
    data = json.loads(_data(html(given), "chart-data"))
    assert data["strips"][0]["shown"] == [-2] * 20
    assert [(row["faces"], row["read"]) for row in data["faces"]][9:11] == [(2, 1), (2, 0)]
    assert [row["t"] for row in data["unread"]] == [*range(10, 20), 20]
    assert "75% of the faces were too small, turned away, too dark or too blurred" in read(given).text


def test_small_groups_are_a_gap_and_the_report_says_why(client: redis.Redis, tmp_path: Path) -> None:
    """Six are happy, four of them leave after 30 s; the two are angry. Later one cannot be read."""

    def shows(person: int, frame: int) -> str | None:
        if frame < 60:
            return "happiness"
        return ("anger" if frame < 100 else "small") if person < 2 else None

    write_scripted(client, hidden_below(5, scripted_events(6, 120, shows)))
    client.hset(LectureKeys("l").info, mapping={"class_only": 1, "min_group": 5})
    report(client, "l", tmp_path / "r.html")
    made = (tmp_path / "r.html").read_text(encoding="utf-8")
    shown = Text(made)
    assert "nothing is shown of fewer than 5 people (33% of the time)" in shown.text
    assert "Dotted: no face could be read, or fewer than 5 people." in shown.text
    heading, *rows = shown.tables["class-table"]
    assert (rows[0][1], rows[40][1], rows[55][1]) == ("6.0", "2.0 (hidden)", "2.0 (2.0 not readable)")
    assert {row[heading.index("anger")] for row in rows[:30]} == {"2%"}
    assert {row[heading.index("anger")] for row in rows[30:]} == {NOTHING}
    assert "On the whole, the class displayed mostly happiness (88%)" in shown.text
    assert "8% of the faces were too small" in shown.text, "hidden faces count as readable"


def test_if_all_groups_are_small_the_sentences_say_so() -> None:
    seen = timeline_of(hidden_below(5, scripted_events(3, 120, lambda *_: "anger")))
    assert sentences(seen, [])[0].text == (
        "Too few people were in view to say how the class went: small groups stay hidden."
    )


def test_if_no_face_can_be_read_the_report_says_so() -> None:
    text = read(content(scripted_timeline(2, 60, lambda *_: "small"))).text
    assert "Too little can be read to say how the class went: 100% of the faces were too small" in text
    assert "No face was found" not in text


def test_the_report_begins_with_sentences_whose_times_are_links_and_the_certainty_is_behind_a_fold() -> None:
    def shows(person: int, frame: int) -> str:
        return "happiness" if 60 <= frame < 120 and person else "neutral"

    made = html(content(scripted_timeline(5, 300, shows)))
    text = " ".join(Text(made).text.split())
    first = text.partition("How the class went")[2].partition("This report shows")[0].strip()
    assert first.endswith(
        "From 0:00:30 to 0:01:00, 4 of 5 people displayed more happiness than usual. "
        "The rest of the time, the class displayed what it usually does."
    )
    assert '<a href="#t=30.0" data-t="30.0">0:00:30</a>' in made
    assert Text(made).tables["moments-table"][1][2:] == [
        "stretch",
        "happiness up 69 points, neutral down 69",
        "4 of 5",
        "0.005",
    ]
    fold = made.partition('<details class="fold statistics">')[2]
    for inside in ("usual-table", "coverage-table", 'class="ledger"'):
        assert inside in fold
    assert Text(made).tables["usual-table"][-1][0] == "the class, on average"


def nobody(person: int, frame: int) -> str | None:
    return None


def afraid(person: int, frame: int) -> str | None:
    return "fear"


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (scripted_timeline(3, 60, afraid), ["Nothing stood out: at no time did the class"]),
        (
            scripted_timeline(3, 38, half_happy),
            ["Too little can be read to say how the class went: faces could be read in less than 20 s."],
        ),
        (scripted_timeline(3, 20, half_happy, class_only=True), ["There is no band of uncertainty"]),
        (scripted_timeline(1, 1, afraid), ["fear 88%", "A band of uncertainty needs at least 3 participants"]),
        (
            scripted_timeline(0, 20, nobody),
            ["No face was found in any frame, so nothing can be said", "20 frames were analysed. No face was found"],
        ),
        (
            scripted_timeline(0, 0, nobody),
            ["No frame was analysed, so there is", "No frame was analysed.", "so the models predicted nothing"],
        ),
    ],
)
def test_the_report_says_what_a_lecture_lacks(seen: Timeline, said: list[str]) -> None:
    text = read(content(seen)).text
    assert all(words in text for words in said)
    assert seen.analysed or "No face was found" not in text


def test_every_report_has_the_words_of_caution() -> None:
    for seen in (scripted_timeline(2, 4, half_happy), scripted_timeline(0, 0, half_happy)):
        text = " ".join(read(content(seen)).text.split())
        assert all(" ".join(paragraph.split()) in text for paragraph in CAUTION)
        assert "prohibited" in text


def test_markup_in_a_name_stays_text() -> None:
    evil = '</script><script>alert("x")</script>&amp;'
    made = html(content(scripted_timeline(1, 4, half_happy), {"p01": evil}, source="<img src=x onerror=alert(1)>.mp4"))
    assert evil in Text(made).text
    assert json.loads(_data(made, "chart-data"))["strips"][0]["name"] == evil
    assert "<img src=x" not in made
    assert 'alert("x")' not in made
    assert made.count("<script") == 6


def test_the_page_loads_nothing_and_runs_only_its_own_scripts() -> None:
    made = html(content(scripted_timeline(1, 4, half_happy)))
    assert policy(["a"], "b") == (
        "default-src 'none'; script-src 'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='; "
        "style-src 'sha256-PiPoFgA5WUoziU9lZOGxNIu9egCI1CxKy3PurtWcAJ0='; media-src blob:; base-uri 'none'; "
        "form-action 'none'"
    )
    elements = Text(made).elements
    assert {tag for tag, _ in elements}.isdisjoint({"link", "img", "iframe", "object", "base", "form"})
    assert not [attributes for _, attributes in elements if {"style", "src", "onclick"} & attributes.keys()]
    assert all(attributes["href"].startswith("#") for tag, attributes in elements if tag == "a" and attributes["href"])


def test_the_least_lecture_has_a_table_and_one_without_faces_has_no_charts() -> None:
    shown = read(content(scripted_timeline(1, 1, afraid)))
    assert shown.tables["class-table"][1][:2] == ["0:00:00", "1.0"]
    made = html(content(scripted_timeline(0, 20, nobody)))
    assert "<script" not in made
    assert "Participants" not in Text(made).text


def test_without_participants_the_report_shows_only_the_class() -> None:
    seen = scripted_timeline(4, 60, half_happy)
    shown = read(content(replace(seen, participants=[])))
    assert "p01" not in shown.text
    assert shown.tables.keys() == {"class-table"}
    assert "±" in shown.tables["class-table"][1][-2], "the spread of the class is not personal"


def test_the_class_is_shown_without_the_lecturer_and_says_so(client: redis.Redis, tmp_path: Path) -> None:
    def shows(person: int, frame: int) -> str:
        return "anger" if person == 0 else "happiness"

    write_scripted(client, scripted_events(3, 20, shows))
    roster = Roster({"p01": Person("Dr. No", role="lecturer"), "p02": "Ann"})
    report(client, "l", tmp_path / "r.html", roster)
    shown = Text((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "Without Dr. No (p01), lecturer, as the roster says." in shown.text
    assert shown.tables["class-table"][1][:3] == ["0:00:00", "2.0", "88%"]
    assert [row[0].split() for row in shown.tables["coverage-table"][1:]] == [
        ["top", "left", "Dr.", "No", "(p01)", "lecturer"],
        ["top", "left", "Ann", "(p02)"],
        ["top", "left", "p03"],
    ]
    report(client, "l", tmp_path / "c.html", roster, class_only=True)
    shown = Text((tmp_path / "c.html").read_text(encoding="utf-8"))
    assert "Without 1 of the people in view, as the roster says." in shown.text
    assert "Dr. No" not in shown.text
    assert shown.tables["class-table"][1][:3] == ["0:00:00", "2.0", "88%"]


def test_the_class_table_has_the_shares_of_the_people_who_face_the_screen_if_they_are_known() -> None:
    assert "facing the screen" not in read(content(scripted_timeline(4, 8, half_happy))).tables["class-table"][0]
    seen = timeline_of(posed(4, 24, lambda person, frame: 50 if person else None if 4 <= frame < 8 else 5))
    table = read(content(seen)).tables["class-table"]
    assert table[0][-3:] == ["facing the screen", "turned away", "out of view"]
    assert (table[1][-3:], table[4][-3:]) == (["25%", "75%", "0%"], ["0%", "75%", "25%"])
    (*_, row) = chart_data(content(seen))["presence"][:4]
    assert (row["y1"], row["y2"], row["y3"]) == (0, 75, 100)
    of_class = timeline_of(posed(2, 4, lambda person, _: 50 * person), class_only=True)
    assert read(content(of_class)).tables["class-table"][1][-2:] == ["50%", "50%"]


def test_an_hour_with_250_participants_stays_small() -> None:
    seen = scripted_timeline(1, 7200, half_happy)
    (one,) = seen.participants
    many = [replace(one, id=f"p{n:03d}") for n in range(250)]
    random = np.random.default_rng(1)
    scores = random.dirichlet(np.ones(7), (250, seen.bins))
    crowd = replace(seen, participants=[replace(each, scores=scores[n]) for n, each in enumerate(many)])
    assert len(html(content(crowd))) < 4_000_000


@pytest.mark.parametrize(
    ("status", "warning"),
    [
        ("running", "This lecture was abandoned by its producer. The report shows its results of 2026-11-24 "),
        ("failed", "This lecture ended with failures: a reason."),
        ("stopped", "This lecture was stopped before its end: a reason."),
    ],
)
def test_a_lecture_that_is_not_done_has_a_warning_at_the_top(status: str, warning: str) -> None:
    assert warning in read(content(scripted_timeline(1, 4, half_happy), status=status, reason="a reason")).text


def test_shipped_models_are_shown_with_their_tests_and_others_as_unknown() -> None:
    import hashlib

    digest = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()[:12]
    manifest = json.loads(SHIPPED.read_bytes())
    rows = read(content(scripted_timeline(1, 4, half_happy, version=digest))).tables["tested-table"]
    assert [row[0] for row in rows[1:]] == [*(model["name"] for model in manifest["models"]), "ensemble"]
    assert rows[-1][2] == f"{manifest['ensemble']['figures']['accuracy']:.1%}"
    stranger = read(content(scripted_timeline(1, 4, half_happy, version="0123456789ab")))
    assert "tested-table" not in stranger.tables
    assert "(version 0123456789ab) do not come with this program" in stranger.text
    assert shipped_model_tests("") is None


def test_the_charts_show_the_mean_shares_and_break_at_a_gap() -> None:
    seen = scripted_timeline(2, 40, half_happy)
    shown = chart_data(content(seen, {"p01": "Ann"}))
    first = next(row for row in shown["class"] if row.get("step") == 0)
    shares = {emotion: first[f"y{n + 1}"] - first[f"y{n}"] for n, emotion in enumerate(STACK)}
    assert shares["neutral"] == pytest.approx(88, abs=0.02)
    assert first["y7"] == 100
    assert shown["strips"][0]["name"] == "Ann"
    assert [STACK[place] for place in shown["strips"][1]["shown"]] == ["neutral"] * 20
    assert shown["class"][-1]["t"] == 20.0
    away = chart_data(content(scripted_timeline(1, 30, lambda _, frame: None if 10 <= frame < 20 else "fear")))
    runs = {row["run"]: [each["t"] for each in away["class"] if each["run"] == row["run"]] for row in away["class"]}
    assert runs == {0: [0, 1, 2, 3, 4, 5], 1: [10, 11, 12, 13, 14, 15]}


@pytest.mark.parametrize("seconds", [0.5, 59, 240, 2700, 10_800, 90_000])
def test_the_time_axis_has_few_marks_at_round_times(seconds: float) -> None:
    marks = ticks(seconds)
    assert 1 <= len(marks) <= MAX_TICKS + 1
    assert marks[0] == 0
    assert marks[-1] <= seconds


def test_the_specifications_use_the_parameters_and_data_sets_of_the_charts() -> None:
    shown = chart_data(content(scripted_timeline(1, 4, half_happy)))
    assert shown["parameters"].keys() == PARAMETERS.keys()
    for spec in specs().values():
        names = set(re.findall(r'"name": "([a-z]+)"', json.dumps(spec["layer"])))
        assert names <= {*shown, "cursor", "playing"}


def test_the_shipped_charts_are_those_of_the_pinned_versions() -> None:
    shipped = {path.name: path.read_text(encoding="utf-8") for path in bundling.FOLDER.iterdir()}
    assert json.loads(shipped["specs.json"]) == specs(), "run `make charts`"
    assert shipped["vega.js"] == bundling.bundle(), "run `make charts`, and renew vega/LICENSES.txt"
    assert f"vega {vl_convert.get_vega_version()}," in shipped["LICENSES.txt"]
    assert f"vega-embed {vl_convert.get_vega_embed_version()}\n" in shipped["LICENSES.txt"]


def test_a_lecture_in_redis_becomes_one_complete_file(client: redis.Redis, tmp_path: Path) -> None:
    write_scripted(client, scripted_events(3, 40, half_happy))
    assert report(client, "l", tmp_path / "r.html", Roster({"p02": "Zoë"})).over
    made = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert made.startswith("<!doctype html>")
    assert made.rstrip().endswith("</html>")
    assert "Zoë (p02)" in made
    assert "vegaEmbed" in made
    assert len(made) < 3_000_000
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_a_class_only_report_leaves_participants_out(client: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    write_scripted(client, scripted_events(3, 40, half_happy))
    assert called("report", "l", "-o", tmp_path / "r.html", "--class-only", "--redis", redis_url)[0] == 0
    made = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "p01" not in Text(made).text
    assert json.loads(_data(made, "chart-data"))["strips"] == []


def test_a_running_lecture_is_reported_up_to_now(client: redis.Redis, tmp_path: Path) -> None:
    write_scripted(client, scripted_events(2, 10, half_happy), ended=False)
    client.set(LectureKeys("l").feeder, "1", ex=60)
    assert not report(client, "l", tmp_path / "r.html").over
    assert "This lecture is still running" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_report_that_fails_leaves_no_file(client: redis.Redis, tmp_path: Path) -> None:
    with pytest.raises(LectureUnknown):
        report(client, "k", tmp_path / "r.html")
    write_scripted(client, scripted_events(1, 2, half_happy))
    with pytest.raises(RosterRefused):
        report(client, "l", tmp_path / "r.html", Roster(tiles=[Tile("A", (0, 0, 99, 99)), Tile("B", (0, 0, 98, 98))]))
    client.xadd(LectureKeys("l").participant("p01"), {"event": b'{"type": "riddle"}'})
    with pytest.raises(ValueError, match="riddle"):
        report(client, "l", tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_refused(client: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    begin(client, "l")
    end(client, "l")
    (tmp_path / "mine.html").write_text("mine")
    for name, reason in (
        ("mine.html", "exists already; remove it or choose another name"),
        ("r.pdf", "the name must end in .html"),
        ("no/r.html", "No such file or directory"),
    ):
        with pytest.raises(ExportRefused, match=reason):
            report(client, "l", tmp_path / name)
        code, _, err = called("report", "l", "-o", tmp_path / name, "--redis", redis_url)
        assert (code, len(err.splitlines())) == (2, 1)
    assert (tmp_path / "mine.html").read_text() == "mine"


def _data(made: str, name: str) -> str:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', made, re.DOTALL)
    assert found
    return found[1]


def test_if_the_roster_leaves_out_everybody_the_report_says_so(client: redis.Redis, tmp_path: Path) -> None:
    write_scripted(client, scripted_events(1, 20, half_happy))
    roster = Roster({"p01": Person("Dr. No", role="lecturer")})
    for class_only in (False, True):
        report(client, "l", tmp_path / f"{class_only}.html", roster, class_only=class_only)
        text = Text((tmp_path / f"{class_only}.html").read_text(encoding="utf-8")).text
        assert text.count("Only people whom the roster leaves out were in view") == 3
        assert "No face was found" not in text


def test_shares_that_round_to_zero_are_not_named() -> None:
    def rarely(person: int, frame: int) -> str | None:
        return None if frame == 0 else "dark" if frame == 1 else "neutral"

    text = read(content(scripted_timeline(1, 400, rarely))).text
    assert "400 frames were analysed." in text
    assert "nobody was in view" not in text
    assert "of the faces were too small" not in text
