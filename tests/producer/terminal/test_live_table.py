"""The moving table of `producer watch`: its content, terminals of all sizes, and its end."""

import os
import pty
import re
import signal
import subprocess
import sys
from io import StringIO
from typing import get_args

import pytest
import redis
from rich.console import Console

from producer.reading.analysis.names import Names, Roster
from producer.reading.lectures import read_lecture
from producer.terminal import live_table
from producer.terminal.live_table import NARROW, NOT_READ, NOT_SEEN, LiveTable, Screen
from tests.processes import eventually
from tests.producer.reading.scripted import unreadable
from tests.producer.reading.writing import begin, class_, commit, emotion, end, frame_events
from worker.contract.messages import ClassEvent, EmotionEvent, EndEvent, Ledger, Unreadable


def drawn(screen: Screen, width: int = 100, height: int = 40) -> list[str]:
    """The lines on a terminal of this size."""
    console = Console(file=StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(screen.render(width, height))
    return [line.rstrip() for line in captured.get().splitlines()]


def shown(frames: list[list[str]], names: Names | None = None) -> Screen:
    """The screen of a lecture in which `frames[n]` were present in frame n, at two frames a second."""
    screen = Screen("l", names)
    for frame, present in enumerate(frames):
        for event in frame_events("l", frame, present):
            screen.add(event)
    return screen


def test_the_class_is_on_top_then_participants_then_the_ledger() -> None:
    screen = Screen("l")
    screen.add(class_("l", 0, 0))
    screen.add(emotion("l", "p01", 8))
    screen.add(ClassEvent("l", 8, 4.0, 1, {"happiness": 0.75, "neutral": 0.21, "fear": 0.04}, 0.5, -0.25, "m1"))
    screen.add(EndEvent("l", "done", None, Ledger(sampled=9, published=9)))
    lines = drawn(screen)
    assert lines[0] == "l  0:00:04  done"
    assert lines[1] == "class  1 face in view, valence +0.50, arousal -0.25 (a fixed linear map of the scores)"
    assert lines[3].split() == ["█", "happiness", "75%", "█", "neutral", "21%"]
    assert lines[5].split() == ["p01", "····█", "█", "happiness", "76%"]
    assert lines[-1] == "done: 9 frames sampled: 9 published"


def test_a_share_of_the_class_is_never_cut_in_half() -> None:
    screen = Screen("l")
    scores = {"happiness": 0.2, "surprise": 0.19, "neutral": 0.18, "anger": 0.17, "disgust": 0.16, "sadness": 0.1}
    screen.add(ClassEvent("l", 0, 0.0, 9, scores, 0.5, -0.25, "m1"))
    for width in range(24, 110):
        (line,) = [line for line in drawn(screen, width) if re.match(r" +█ ", line)]
        shares = re.findall(r"█ (\w+) (\d+)%", line)
        assert shares == [(emotion, f"{100 * share:.0f}") for emotion, share in scores.items()][: len(shares)] != []
        assert line.count("█") == len(shares)
        assert "…" not in line


def test_a_history_has_one_block_a_second_and_points_where_not_seen() -> None:
    screen = shown([["p01"]] * 4 + [[]] * 4 + [["p01"]] * 2)
    (line,) = [line for line in drawn(screen) if line.startswith("p01")]
    assert line.split()[1] == "██··█"
    late = Screen("l")
    for frame in (4, 5, 0, 1, 2, 3):
        late.add(emotion("l", "p01", frame))
    assert "███  █ happiness" in "\n".join(drawn(late)), "late sightings go to the block of their time"


def test_a_face_that_cannot_be_read_has_dashes_and_its_reason() -> None:
    screen = Screen("l")
    for frame in range(4):
        screen.add(unreadable("l", "p01", frame, frame / 2, "dark"))
    screen.add(ClassEvent("l", 3, 1.5, 2, None, None, None, "m1", 1))
    lines = drawn(screen)
    assert lines[1] == "class  2 faces in view (1 not readable)"
    (line,) = [line for line in lines if line.startswith("p01")]
    assert line.split() == ["p01", f"{NOT_READ}{NOT_READ}", "not", "readable", "dark"]
    assert lines[-1].endswith(f"{NOT_READ} not readable")


@pytest.mark.parametrize("width", [40, 64, 80, 200])
@pytest.mark.parametrize("reason", get_args(Unreadable))
def test_the_reason_leaves_room_for_the_participant_and_the_time_away(reason: str, width: int) -> None:
    screen = shown([["p01", "p02"]] + [["p02"]] * 59)
    screen.add(unreadable("l", "p01", 0, 0.0, reason))
    screen.add(unreadable("l", "p02", 60, 30.0, reason))
    present, away = (line for line in drawn(screen, width) if line.startswith("p0"))
    assert present.startswith("p02 ")
    assert present.endswith(f" not readable {reason}")
    assert away.startswith("p01 ")
    assert away.endswith(f" not readable {reason}" if width < NARROW else "  away 0:00:30")


def test_without_colours_letters_show_what_was_displayed() -> None:
    screen = Screen("l", colours=False)
    screen.add(emotion("l", "p01", 0))
    lines = drawn(screen)
    assert ["p01", "H", "H", "happiness", "76%"] in [line.split() for line in lines]
    assert "H happiness  U surprise  N neutral  A anger  D disgust  S sadness  F fear  - not readable" in lines


def test_away_participants_come_last_with_the_time_since_they_were_seen() -> None:
    screen = shown([["p01", "p02"]] * 2 + [["p02"]] * 30)
    lines = drawn(screen)
    people = [line for line in lines if line.startswith("p0")]
    assert [line.split()[0] for line in people] == ["p02", "p01"]
    assert people[1].endswith("away 0:00:15")


def test_at_a_low_rate_a_participant_is_away_after_two_frames(client: redis.Redis) -> None:
    keys = begin(client, "l")
    client.hset(keys.info, "fps", 0.25)
    for seconds, said in ((8, ""), (12, "away 0:00:12")):
        screen = shown([["p01"]] + [[]] * (2 * seconds))  # the helper's frames are half a second apart
        screen.standing = read_lecture(client, "l")
        (line,) = [line for line in drawn(screen) if line.startswith("p01")]
        assert line.partition("%")[2].strip() == said


@pytest.mark.parametrize("height", [12, 24, 40])
@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("people", [1, 9, 60])
def test_it_fits_every_terminal(width: int, height: int, people: int) -> None:
    everybody = [f"p{n:02}" for n in range(1, people + 1)]
    lines = drawn(shown([everybody] * 2 + [everybody[1:]] * 20), width, height)
    assert len(lines) < max(height, 14)
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if re.match(r"p\d", line)]
    more = [line for line in lines if line.startswith("and ")]
    left = people - len(rows)
    assert more == ([f"and {left} more"] if left else [])
    if left:
        assert not any(row.startswith("p01") for row in rows), "participants in view come first"


def test_names_come_from_the_roster_and_are_never_markup() -> None:
    names = Names(Roster({"p01": "[red]Alice[/red]"}))
    assert any(line.startswith("[red]Alice[/red] (p01)") for line in drawn(shown([["p01"]], names)))


def test_it_says_that_it_waits_and_that_nothing_is_published_per_person(client: redis.Redis) -> None:
    client.set(begin(client, "l").feeder, b"1")
    screen = Screen("l")
    screen.standing = read_lecture(client, "l")
    lines = drawn(screen)
    assert lines[0] == "l  0:00:00  waiting for events"
    assert lines[-1] == "0 frames sampled: 0 published"
    screen.add(class_("l", 0, 12))
    assert "nothing is published per person" in drawn(screen)


@pytest.mark.parametrize("whole", [True, False])
def test_no_draw_shows_half_of_a_frame(monkeypatch: pytest.MonkeyPatch, client: redis.Redis, whole: bool) -> None:
    begin(client, "l")
    draws: list[str] = []
    monkeypatch.setattr(live_table, "REFRESH_S", 0)
    monkeypatch.setattr(LiveTable, "_draw", lambda table: draws.append("\n".join(drawn(table._screen))))
    with LiveTable("l", lambda: read_lecture(client, "l"), whole=whole) as table:
        for frame in range(0, 8, 2):
            for event in frame_events("l", frame, ["p01", "p02"] if whole else ["p01"]):
                if whole or isinstance(event, EmotionEvent):
                    table.show(event)
    assert len(draws) == 6, "at the start, after every frame, at the end"
    assert not any(NOT_SEEN in draw for draw in draws)


class Watching:
    """`producer watch` on a terminal of its own."""

    def __init__(self, url: str, *words: str) -> None:
        self._mine, terminal = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "90", "LINES": "30"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "producer", "watch", *words, "--redis", url],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            start_new_session=True,
        )
        os.close(terminal)
        self.text = ""

    def saw(self, words: str) -> bool:
        """Whether these words have been on the terminal."""
        self._read()
        return words in self.text

    def close(self) -> int:
        """Read until the process ends; its exit code."""
        while self._read():
            pass
        os.close(self._mine)
        return self.process.wait(timeout=60)

    def _read(self) -> bool:
        """Wait for more; whether there was any."""
        try:
            some = os.read(self._mine, 1 << 16)
        except OSError:  # the process has ended
            return False
        self.text += some.decode(errors="replace")
        return bool(some)


@pytest.mark.parametrize("ends_by", ["its end", "Ctrl-C"])
def test_it_follows_a_lecture_and_leaves_its_last_state_on_the_terminal(
    redis_url: str, client: redis.Redis, ends_by: str
) -> None:
    begin(client, "l")
    watching = Watching(redis_url, "l", "--from-start")
    commit(client, "l", frame_events("l", 0, ["p01", "p02"]))
    eventually(lambda: watching.saw("happiness 76%"))
    if ends_by == "Ctrl-C":
        watching.process.send_signal(signal.SIGINT)
        assert watching.close() == 130
        assert "Traceback" not in watching.text
    else:
        end(client, "l")
        eventually(lambda: watching.saw("done: 0 frames sampled"))
        assert watching.close() == 0
    assert watching.text.rstrip().endswith("\x1b[?25h"), "the cursor is back"
