"""Patches for a live page: from any edition they lead to the newest state."""

import time
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from producer.presentation.palette import STACK
from producer.presentation.thresholds import away_after_s
from producer.reading.analysis.names import Person, Roster, Tile
from producer.reading.lectures import Lecture
from producer.serving.board import Board
from tests.producer.reading.posing import posed
from tests.producer.reading.scripted import hidden_below, scripted_events
from tests.producer.reading.writing import class_, emotion, frame_events
from tests.producer.serving.server import Page
from worker.contract.chapters import Chapter
from worker.contract.lecture_hash import LectureInfo
from worker.contract.messages import ClassEvent, EmotionEvent, Event, Ledger, SlideEvent

INFO = LectureInfo("a.mp4", "running", 2, 640, 360, 1000.0)


def read(page: Page, board: Board) -> None:
    page.take(board.edition, msgspec.json.decode(msgspec.json.encode(board.patch(page.edition))))


def begun(*events: Event, roster: Roster | None = None) -> Board:
    """The board of a running lecture with these events."""
    board = Board("l", roster)
    board.begin(2)
    add(board, events)
    return board


def add(board: Board, events: Iterable[Event]) -> None:
    for event in events:
        board.add(event)
    board.refresh()


def shown(board: Board) -> Any:
    """The state of a new page."""
    page = Page()
    read(page, board)
    return page.state


def scripted_faces(*shown: str) -> list[Event]:
    """The events of one frame in which these are shown."""
    return [event for frame in scripted_events(len(shown), 1, lambda who, _: shown[who]) for event in frame]


events = st.lists(
    st.one_of(
        st.builds(emotion, st.just("l"), st.sampled_from(["p01", "p02"]), st.integers(0, 4000)),
        st.builds(class_, st.just("l"), st.integers(0, 4000), st.integers(0, 3)),
    ),
    max_size=40,
)


@given(st.lists(st.tuples(events, st.booleans()), max_size=6))
@settings(max_examples=30)
def test_a_page_that_skips_states_shows_the_same_as_a_new_page(
    steps: list[tuple[list[EmotionEvent | ClassEvent], bool]],
) -> None:
    board, page = begun(), Page()
    for some, reads in steps:
        add(board, some)
        if reads:
            read(page, board)
    read(page, board)
    assert page.state == shown(board)


def test_a_patch_holds_only_changed_steps() -> None:
    board, page = begun(*frame_events("l", 0, ["p01"])), Page()
    read(page, board)
    add(board, frame_events("l", 9, ["p01"]))
    patch = board.patch(page.edition)
    assert not patch.whole
    assert [row.bin for row in patch.bins] == [4]
    assert [row.bin for row in patch.participants[0].bins] == [4]


def test_a_patch_has_the_published_values() -> None:
    patch = begun(*frame_events("l", 0, ["p01", "p02"]), *frame_events("l", 1, [])).patch(None)
    assert patch.now is not None
    assert (patch.now.frame, patch.now.faces, patch.now.scores) == (1, 0, None)
    (row,) = patch.bins
    assert (row.frames, row.faces) == (2, 1.0)
    assert row.scores is not None
    assert dict(zip(STACK, row.scores, strict=True))["happiness"] == 0.76
    one = patch.participants[0]
    assert (one.id, one.frames, one.emotion, one.score, one.valence) == ("p01", 1, "happiness", 0.76, 0.5)
    assert [(each.emotion, each.strength) for each in one.bins] == [(STACK.index("happiness"), 0.76)]


def test_a_face_that_cannot_be_read_is_a_step_without_an_emotion() -> None:
    events = [event for frame in scripted_events(2, 4, lambda who, _: "blurred" if who else "anger") for event in frame]
    patch = begun(*events).patch(None)
    assert patch.now is not None
    assert (patch.now.faces, patch.now.read) == (2, 1)
    assert [(row.faces, row.read) for row in patch.bins] == [(2, 1), (2, 1)]
    one, two = patch.participants
    assert (one.unread, one.emotion, one.reason) == (0, "anger", "")
    assert (two.frames, two.unread, two.emotion, two.reason, two.valence) == (4, 4, None, "blurred", None)
    assert [(row.frames, row.emotion) for row in two.bins] == [(2, None), (2, None)]
    assert [row.scores for row in begun(*scripted_faces("dark")).patch(None).bins] == [None]


def test_a_small_group_is_a_step_without_scores_although_faces_could_be_read() -> None:
    frames = scripted_events(6, 4, lambda who, frame: "anger" if who < 2 or frame < 2 else "dark")
    board = begun(*(event for frame in hidden_below(5, frames) for event in frame))
    board.set_standing(Lecture("l", replace(INFO, class_only=True, min_group=5), Ledger(), 0, True, 0), True)
    patch = board.patch(None)
    assert patch.standing.min_group == 5
    assert [(row.faces, row.read, row.scores is None) for row in patch.bins] == [(6, 6, False), (6, 2, True)]
    assert patch.now is not None
    assert (patch.now.read, patch.now.scores) == (2, None)


def test_an_unknown_edition_is_answered_with_everything() -> None:
    board, other = begun(), begun()
    for since in (None, "", other.edition, "x.1", f"{board.edition}9", f"{board.edition.partition('.')[0]}.-1"):
        assert board.patch(since).whole
    assert not board.patch(board.edition).whole


def test_a_forgotten_lecture_leaves_nothing() -> None:
    board = begun(*frame_events("l", 0, ["p01"]))
    board.forget()
    patch = board.patch(None)
    assert patch.standing.phase == "forgotten"
    assert (patch.now, patch.bins, patch.participants) == (None, [], [])


def test_a_lost_connection_is_shown_until_redis_is_back() -> None:
    board = begun()
    lecture = Lecture("l", INFO, Ledger(), 0, True, 0)
    board.set_standing(lecture, caught_up=True)
    board.lose_connection()
    assert not board.patch(None).standing.connected
    board.set_standing(lecture, caught_up=True)
    assert board.patch(None).standing.connected


def test_the_page_is_sent_when_a_participant_is_away() -> None:
    board = begun()
    for fps in (2.0, 0.25):
        info = msgspec.structs.replace(INFO, fps=fps)
        board.set_standing(Lecture("l", info, Ledger(), 0, True, 0), caught_up=True)
        assert board.patch(None).standing.away_after == away_after_s(fps)


def test_the_page_is_sent_how_far_behind_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: INFO.started + 65)
    board = begun(*frame_events("l", 10, ["p01"]))
    ledger = Ledger(sampled=51, published=11, in_flight=40)

    def behind(fed: bool = True, **info: object) -> int | None:
        board.set_standing(Lecture("l", msgspec.structs.replace(INFO, **info), ledger, 1, fed, 1), caught_up=True)
        return board.patch(None).standing.behind

    assert behind() == 20, "of a recording, what is in flight"
    assert behind(live=True) == 60, "of a live source, the age of the newest frame"
    assert behind(live=True, started=INFO.started + 999) == 0, "clocks may differ"
    assert behind(fed=False) is None
    assert behind(status="done") is None


def test_names_come_from_the_roster() -> None:
    roster = Roster({"p01": "Alice"}, [Tile("<b>Bob</b>", (0, 0, 640, 360))])
    board = begun(*frame_events("l", 0, ["p01", "p02"]), roster=roster)
    assert [each.name for each in board.patch(None).participants] == ["Alice", "<b>Bob</b>"]


def test_a_page_shows_the_class_without_the_lecturer_also_now() -> None:
    roster = Roster({"p01": Person("Dr. No", role="lecturer")})
    board = begun(*scripted_faces("anger", "happiness", "happiness"), roster=roster)
    bins, _, rest = shown(board)
    assert (rest["now"]["faces"], rest["now"]["read"], bins[0][2:4]) == (2, 2, [2.0, 2.0])
    assert rest["now"]["scores"]["happiness"] == max(bins[0][4]) == 0.88
    assert [each["left_out"] for each in rest["participants"]] == ["lecturer", "", ""]
    _, _, alone = shown(begun(*scripted_faces("anger"), roster=roster))
    assert (alone["now"]["faces"], alone["now"]["scores"]) == (0, None)


def test_a_page_has_a_map_of_everybody_and_the_shares_of_the_people_who_face_the_screen() -> None:
    board = Board("l")
    board.begin(2, (640, 360))
    lecture = posed(2, 8, lambda person, frame: 50 * person if person == 0 or frame < 4 else None)
    events = [event for frame in lecture for event in frame]
    add(board, [replace(each, box=(40, 30, 80, 80)) if isinstance(each, EmotionEvent) else each for each in events])
    bins, _, rest = shown(board)
    assert {each["map"][-1] for each in rest["participants"]} == {"top left"}
    assert (bins[0][-1], bins[3][-1]) == ([0.5, 0.5, 0.0], [1.0, 0.0, 0.0])


def test_chapters_and_slides_come_once_and_again_if_another_one_begins() -> None:
    board, page = begun(*frame_events("l", 0, ["p01"])), Page()
    read(page, board)
    assert shown(board)[2]["parts"] == {"chapters": [], "slides": []}
    chapters = [Chapter(0.0, "Beginning"), Chapter(50.0, "Later")]
    board.set_standing(
        Lecture("l", msgspec.structs.replace(INFO, chapters=chapters), Ledger(), 0, True, 0), caught_up=False
    )
    add(board, [*frame_events("l", 9, ["p01"]), SlideEvent("l", 0, 0.0, 1), SlideEvent("l", 6, 3.0, 2)])
    patch = board.patch(page.edition)
    assert patch.parts == {"chapters": [(0.0, "Beginning")], "slides": [(0.0, "slide 1"), (3.0, "slide 2")]}
    read(page, board)
    add(board, frame_events("l", 10, ["p01"]))
    assert board.patch(page.edition).parts is None


def test_moments_appear_after_the_search_with_a_new_edition() -> None:
    frames = scripted_events(9, 600, lambda _, frame: "anger" if 240 <= frame < 360 else "neutral")
    board = begun(*(event for frame in frames for event in frame))
    before = board.edition
    assert board.patch(None).moments == []
    board.search()
    assert board.edition != before
    (moment,) = board.patch(None).moments
    assert (moment.kind, round(moment.t), round(moment.end)) == ("stretch", 120, 180)


def test_a_page_has_no_map_of_somebody_with_a_recording_of_their_own() -> None:
    board = Board("l")
    board.begin(2, (640, 360), "p01=a.mp4, p02=b.mp4")
    add(board, [event for frame in posed(2, 8, lambda person, _: 50) for event in frame])
    _, _, rest = shown(board)
    assert [each["map"] for each in rest["participants"]] == [None, None]
