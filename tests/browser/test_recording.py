"""The recording beside the report, in a real browser: seeking, boxes and notes. The page keeps nothing."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from msgspec import structs
from playwright.sync_api import Browser, Page, expect

from producer.reading.analysis.names import Roster
from producer.reading.report.writing import report
from tests.browser.conftest import record_errors
from tests.processes import eventually
from tests.producer.reading.scripted import scripted_events, write_scripted
from worker.contract.connection import connect
from worker.contract.messages import EmotionEvent, Event

SECONDS = 60
NAME = "<b>A"


def events() -> Iterator[list[Event]]:
    """Two people in a lecture of 640 by 360 pixels; p01 moves right by 2 pixels per frame, p02 leaves after 20 s."""
    for frame in scripted_events(
        2, 2 * SECONDS, lambda person, frame: None if person and frame >= 40 else "anger" if frame >= 60 else "neutral"
    ):
        yield [
            structs.replace(each, box=(100 + 2 * each.frame if each.participant == "p01" else 400, 50, 80, 90))
            if isinstance(each, EmotionEvent)
            else each
            for each in frame
        ]


def film(path: Path, size: tuple[int, int] = (320, 180), seconds: int = SECONDS) -> Path:
    """A grey VP9 film with a picture each second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=1, options={"deadline": "realtime", "cpu-used": "8", "g": "5"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for second in range(seconds):
            picture = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 4 * second % 256, np.uint8), "rgb24")
            picture.pts, picture.time_base = second, Fraction(1)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def files(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the report, one of the class only, and recordings."""
    folder = tmp_path_factory.mktemp("recording")
    with connect(redis_server) as client:
        client.flushall()
        write_scripted(client, events())
        report(client, "l", folder / "r.html", Roster({"p01": NAME}))
        report(client, "l", folder / "class.html", class_only=True)
    film(folder / "lecture.webm")
    film(folder / "other.webm", (180, 180), 30)
    (folder / "no.webm").write_bytes(b"this is no video")
    return folder


@pytest.fixture
def page(browser: Browser, files: Path, errors: list[str]) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1440, "height": 900}, offline=True) as context:
        page = context.new_page()
        record_errors(page, errors)
        page.goto((files / "r.html").as_uri())
        expect(page.locator(".track")).to_have_count(2)
        yield page


def opened(page: Page, file: Path) -> None:
    """Open a recording. The page's policy forbids Playwright to wait for a function."""
    expect(page.locator("[data-recording]")).to_be_visible()  # from now on the page takes files
    page.locator("[data-open]").set_input_files(file)
    eventually(lambda: video(page, "video.readyState >= 2"))


def at(page: Page, seconds: float, slack: float = 1.0) -> None:
    eventually(lambda: not video(page, "video.seeking") and abs(video(page, "video.currentTime") - seconds) <= slack)


def playing(page: Page) -> float:
    """Where the line is that follows the recording, as a part of the strips. It comes shortly after the recording."""
    return float(page.locator(".strips").evaluate("element => element.style.getPropertyValue('--playing')") or 0)


def video(page: Page, expression: str) -> Any:
    return page.locator("[data-video]").evaluate(f"video => {expression}")


def test_clicks_on_chart_strip_and_moment_and_the_keyboard_seek_in_the_recording(
    page: Page, files: Path, errors: list[str]
) -> None:
    expect(page.locator("[data-player]")).to_be_hidden()
    opened(page, files / "lecture.webm")
    expect(page.locator("[data-recording-warning]")).to_be_hidden()
    strip = page.locator(".track").first
    box = strip.bounding_box()
    assert box is not None
    strip.click(position={"x": box["width"] / 2, "y": 5})
    at(page, 30)
    eventually(lambda: playing(page) == pytest.approx(0.5, abs=0.02))
    chart = page.locator("[data-chart=shares] svg")
    place = chart.bounding_box()
    assert place is not None
    chart.click(position={"x": 40 + (place["width"] - 54) / 4, "y": 100})
    at(page, 15, 1.5)
    page.locator("main").evaluate(
        "main => { const a = document.createElement('a'); Object.assign(a, { href: '#t=42', id: 'x' });"
        " a.textContent = 'x'; a.dataset.t = 42; main.prepend(a); }"
    )
    page.locator("#x").press("Enter")
    at(page, 42)
    strip.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    at(page, 1)
    time = page.get_by_role("slider", name="Time in the lecture")
    time.focus()
    page.keyboard.press("End")
    at(page, 59)
    assert errors == []


def test_boxes_and_names_lie_over_the_picture_and_can_be_hidden(page: Page, files: Path) -> None:
    opened(page, files / "lecture.webm")
    video(page, "video.currentTime = 10.2")
    at(page, 10.2, 0.1)
    labels = page.locator("[data-boxes] text")
    expect(labels).to_have_text([f"{NAME} neutral", "p02 neutral"])
    picture, drawn = page.locator(".picture").bounding_box(), page.locator("[data-boxes] rect").first.bounding_box()
    assert picture is not None
    assert drawn is not None
    # The shape of the element may differ from that of the picture: it has bars on two sides then.
    scale = min(picture["width"] / 640, picture["height"] / 360)
    left = picture["x"] + (picture["width"] - 640 * scale) / 2
    assert drawn["x"] + drawn["width"] / 2 == pytest.approx(left + (140 + 2 * 20) * scale, abs=2)
    assert drawn["width"] == pytest.approx(80 * scale, abs=4)
    video(page, "video.currentTime = 50")
    expect(labels).to_have_text([f"{NAME} anger"])  # p02 has left
    page.get_by_label("Show boxes and ids").uncheck()
    expect(labels).to_have_count(0)


def test_another_recording_and_one_that_cannot_be_played_are_named_so(page: Page, files: Path) -> None:
    warning = page.locator("[data-recording-warning]")
    opened(page, files / "other.webm")
    expect(warning).to_have_text(
        "This may be another recording. It is 0:00:30 long, the lecture 0:01:00. Its picture is 180 by 180 pixels, "
        "that of the lecture 640 by 360. Times and boxes may be wrong."
    )
    page.locator("[data-open]").set_input_files(files / "no.webm")
    expect(warning).to_contain_text("This browser cannot show this file.")
    opened(page, files / "lecture.webm")
    expect(warning).to_be_hidden()


def test_notes_are_written_at_times_saved_as_webvtt_and_loaded_again(
    page: Page, files: Path, tmp_path: Path, errors: list[str]
) -> None:
    opened(page, files / "lecture.webm")
    video(page, "video.currentTime = 20")
    expect(page.locator("[data-note-add]")).to_have_text("Add at 0:00:20")
    page.get_by_label("Note", exact=True).fill("a <i>joke</i> & laughter")
    page.keyboard.press("Enter")
    video(page, "video.currentTime = 3")
    expect(page.locator("[data-note-add]")).to_have_text("Add at 0:00:03")
    page.get_by_label("Note", exact=True).fill("begins")
    page.locator("[data-note-add]").click()
    expect(page.locator("[data-note-list] span")).to_have_text(["begins", "a <i>joke</i> & laughter"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Save notes").click()
    assert download.value.suggested_filename == "l.notes.vtt"
    saved = tmp_path / "l.notes.vtt"
    download.value.save_as(saved)
    assert saved.read_text(encoding="utf-8") == (
        "WEBVTT - notes of lecture l\n\n00:00:03.000 --> 00:00:08.000\nbegins\n\n"
        "00:00:20.000 --> 00:00:25.000\na &lt;i&gt;joke&lt;/i&gt; &amp; laughter\n"
    )
    page.reload()
    expect(page.locator("[data-recording]")).to_be_visible()
    expect(page.locator("[data-note-list] li")).to_have_count(0)  # the page keeps nothing
    page.locator("[data-notes-load]").set_input_files(saved)
    expect(page.locator("[data-note-list] span")).to_have_text(["begins", "a <i>joke</i> & laughter"])
    opened(page, files / "lecture.webm")
    page.locator("[data-note-list] a").nth(1).click()
    at(page, 20)
    page.get_by_role("button", name="Remove the note at 0:00:03").click()
    expect(page.locator("[data-note-list] li")).to_have_count(1)
    page.locator("[data-notes-load]").set_input_files(files / "no.webm")
    expect(page.locator("[data-recording-warning]")).to_contain_text("no.webm holds no notes")
    assert errors == []


def test_a_report_of_the_class_has_the_recording_without_boxes(page: Page, files: Path, errors: list[str]) -> None:
    page.goto((files / "class.html").as_uri())
    opened(page, files / "lecture.webm")
    expect(page.locator("[data-show-boxes]")).to_be_hidden()
    assert "p01" not in (files / "class.html").read_text(encoding="utf-8")
    assert errors == []


@pytest.mark.parametrize("width", [400, 900, 1440])
def test_the_recording_stays_in_view_on_wide_screens_and_is_not_printed(page: Page, files: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    opened(page, files / "lecture.webm")
    eventually(lambda: page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
    page.locator("#ledger").scroll_into_view_if_needed()
    place = page.locator("[data-video]").bounding_box()
    assert place is not None
    assert (0 <= place["y"] < 900) == (width == 1440)
    page.emulate_media(media="print")
    expect(page.locator("[data-recording]")).to_be_hidden()
