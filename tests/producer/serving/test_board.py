"""What a page is told: patches, of which any two editions and whatever lies between come to the same picture."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.presentation.palette import STACK
from producer.reading.analysis.names import Roster, Tile
from producer.reading.lectures import Lecture
from producer.serving.board import Board
from tests.producer.reading.writing import class_, emotion, frame_events
from tests.producer.serving.server import Page
from worker.contract.lecture_hash import LectureInfo
from worker.contract.messages import ClassEvent, EmotionEvent, Ledger

INFO = LectureInfo("a.mp4", "running", 2, 640, 360, 1000.0)


def read(page: Page, board: Board) -> None:
    page.take(board.edition, msgspec.json.decode(msgspec.json.encode(board.patch(page.edition))))


def begun(roster: Roster | None = None) -> Board:
    board = Board("l", roster)
    board.begin(2)
    return board


def shown(board: Board) -> Any:
    """What a page that comes now shows."""
    page = Page()
    read(page, board)
    return page.picture


events = st.lists(
    st.one_of(
        st.builds(emotion, st.just("l"), st.sampled_from(["p01", "p02"]), st.integers(0, 4000)),
        st.builds(class_, st.just("l"), st.integers(0, 4000), st.integers(0, 3)),
    ),
    max_size=40,
)


@given(st.lists(st.tuples(events, st.booleans()), max_size=6))
@settings(deadline=None, max_examples=30)
def test_a_page_that_misses_states_in_between_shows_what_one_that_comes_now_shows(
    steps: list[tuple[list[EmotionEvent | ClassEvent], bool]],
) -> None:
    board, page = begun(), Page()
    for some, looks in steps:
        for event in some:
            board.add(event)
        board.refresh()
        if looks:
            read(page, board)
    read(page, board)
    assert page.picture == shown(board)


def test_what_nobody_has_seen_yet_is_not_told_again() -> None:
    board, page = begun(), Page()
    for event in frame_events("l", 0, ["p01"]):
        board.add(event)
    board.refresh()
    read(page, board)
    for event in frame_events("l", 9, ["p01"]):
        board.add(event)
    board.refresh()
    patch = board.patch(page.edition)
    assert not patch.whole
    assert [row.bin for row in patch.bins] == [4]
    assert [row.bin for row in patch.participants[0].bins] == [4]


def test_the_figures_are_those_that_were_published() -> None:
    board = begun()
    for event in [*frame_events("l", 0, ["p01", "p02"]), *frame_events("l", 1, [])]:
        board.add(event)
    board.refresh()
    patch = board.patch(None)
    assert patch.now is not None
    assert (patch.now.frame, patch.now.faces, patch.now.scores) == (1, 0, None)
    (row,) = patch.bins
    assert (row.frames, row.faces) == (2, 1.0)
    assert row.scores is not None
    assert dict(zip(STACK, row.scores, strict=True))["happiness"] == 0.76
    one = patch.participants[0]
    assert (one.id, one.frames, one.emotion, one.score, one.valence) == ("p01", 1, "happiness", 0.76, 0.5)
    assert [(STACK[each.emotion], each.strength) for each in one.bins] == [("happiness", 0.76)]


def test_editions_of_another_history_or_of_no_sense_are_answered_with_everything() -> None:
    board, other = begun(), begun()
    for since in (None, "", other.edition, "x.1", f"{board.edition}9", f"{board.edition.partition('.')[0]}.-1"):
        assert board.patch(since).whole
    assert not board.patch(board.edition).whole


def test_a_forgotten_lecture_leaves_nothing() -> None:
    board = begun()
    for event in frame_events("l", 0, ["p01"]):
        board.add(event)
    board.refresh()
    board.forget()
    patch = board.patch(None)
    assert patch.standing.phase == "forgotten"
    assert (patch.now, patch.bins, patch.participants) == (None, [], [])


def test_redis_going_and_coming_back_changes_nothing_but_that() -> None:
    board = begun()
    lecture = Lecture("l", INFO, Ledger(), 0, True, 0)
    board.set_standing(lecture, caught_up=True)
    board.lose_connection()
    assert not board.patch(None).standing.connected
    board.set_standing(lecture, caught_up=True)
    assert board.patch(None).standing.connected


def test_names_come_from_the_roster() -> None:
    board = begun(Roster({"p01": "Alice"}, [Tile("<b>Bob</b>", (0, 0, 640, 360))]))
    for event in frame_events("l", 0, ["p01", "p02"]):
        board.add(event)
    board.refresh()
    assert [each.name for each in board.patch(None).participants] == ["Alice", "<b>Bob</b>"]
