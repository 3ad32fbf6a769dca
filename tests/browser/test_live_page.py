"""The live page in a real browser: it shows the published events as they come."""

import itertools
import re
import time
from collections.abc import Iterator

import msgspec
import pytest
import redis
from playwright.sync_api import Browser, Page, expect

from producer.presentation.palette import COLOURS
from producer.reading.lectures import forget
from tests.browser.conftest import charts_drawn, record_errors
from tests.producer.reading.scripted import unreadable
from tests.producer.reading.writing import begin as begin_unfed
from tests.producer.reading.writing import class_, commit, emotion, end, frame_events
from tests.producer.serving.server import serving
from worker.contract.keys import LectureKeys
from worker.contract.messages import EMOTIONS, ClassEvent, InFlight, ParticipantSpan, SlideEvent, encode

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server(redis_server: str) -> Iterator[str]:
    with serving(redis_server) as address:
        yield address.rstrip("/")


@pytest.fixture
def lecture() -> str:
    """The id of a lecture that the server does not know. It keeps following one for a minute after its last page."""
    return f"l{next(NUMBERS)}"


@pytest.fixture
def page(browser: Browser, server: str, client: redis.Redis, lecture: str, errors: list[str]) -> Iterator[Page]:
    """The page of the lecture, which has not begun yet."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    record_errors(page, errors)
    page.goto(f"{server}/lectures/{lecture}")
    yield page
    page.close()


def begin(client: redis.Redis, lecture: str) -> None:
    """A lecture that a producer feeds."""
    client.set(begin_unfed(client, lecture).feeder, b"1")


def test_a_lecture_from_before_its_beginning_to_its_end(
    page: Page, client: redis.Redis, lecture: str, errors: list[str]
) -> None:
    status = page.locator("#status")
    expect(status).to_have_text("waiting: there is no such lecture yet")

    begin(client, lecture)
    first = ClassEvent(lecture, 0, 0.0, 2, shares(happiness=0.6, neutral=0.4), 0.49, 0.31, "m1")
    commit(client, lecture, [emotion(lecture, "p01", 0), emotion(lecture, "p02", 0, shown="surprise"), first])
    expect(status).to_have_text("running")
    expect(page.locator('#shares [data-emotion="happiness"] .share')).to_have_text("60%")
    expect(page.locator('#shares [data-emotion="neutral"] .share')).to_have_text("40%")
    expect(page.locator("#faces")).to_have_text("2")
    expect(page.locator("#valence")).to_have_text("+0.49")
    expect(page.locator('[data-participant="p01"] .current')).to_have_text("happiness 76%")
    expect(page.locator("#readout")).to_contain_text(
        "happiness 60%, neutral 40%; valence +0.49, arousal +0.31; 2 faces"
    )
    expect(page.locator("#moments-note")).to_have_text("None until now.")
    expect(page.locator("#sentences p").first).to_contain_text("Too little can be read to say how the class went")
    areas = page.locator("#class-chart path").first.get_attribute("d")

    second = ClassEvent(lecture, 2, 1.0, 1, shares(sadness=1.0), -0.63, -0.27, "m1")
    commit(client, lecture, [emotion(lecture, "p01", 2), second])
    expect(page.locator('#shares [data-emotion="sadness"] .share')).to_have_text("100%")
    expect(page.locator("#valence")).to_have_text("\N{MINUS SIGN}0.63")
    assert page.locator("#class-chart path").first.get_attribute("d") != areas, "the chart has changed"
    charts_drawn(page)
    assert colour_at(page, "p01", 0.75)[:3] != (0, 0, 0)
    assert colour_at(page, "p02", 0.75) == (0, 0, 0, 0), "a gap is a gap"

    third = ClassEvent(lecture, 4, 2.0, 1, None, None, None, "m1", 1)
    commit(client, lecture, [unreadable(lecture, "p01", 4, 2.0, "small"), third])
    expect(page.locator('[data-participant="p01"] .current')).to_have_text("not readable: small")
    expect(page.locator("#faces")).to_have_text("1 (1 not readable)")
    expect(page.locator("#valence")).to_have_text("\N{EN DASH}")
    expect(page.locator("#readout")).to_contain_text("no face could be read, 1 in view")
    expect(page.locator("#class-chart path.unread")).to_have_count(1)

    page.locator("#class-table summary").click()
    rows = page.locator("#class-table-body tr")
    expect(rows).to_have_count(3)  # a fold is filled shortly after the click
    first_row, second_row, _ = rows.all_inner_texts()
    assert " ".join(first_row.split()) == "0:00:00 0% 0% 0% 0% 40% 0% 60% +0.49 +0.31 2"
    assert " ".join(second_row.split()).startswith("0:00:01 0% 100%")

    page.locator("#cursor").fill("1")
    end(client, lecture)
    expect(page.locator("h1")).to_have_text(f"Lecture {lecture}")
    assert page.url.endswith(f"/lectures/{lecture}#t=1"), "the report, at the time that was chosen"
    expect(page.locator("[data-chart=faces] svg")).to_be_visible()
    expect(page.locator("[data-time]")).to_have_value("1")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    page.get_by_role("link", name="All lectures").click()
    expect(page.get_by_role("row", name=f"{lecture} done")).to_contain_text("a.mp4")
    assert errors == []


def test_slides_are_a_row_under_the_chart_and_a_click_on_one_shows_the_chart(
    page: Page, client: redis.Redis, lecture: str
) -> None:
    begin(client, lecture)
    slides = [SlideEvent(lecture, 0, 0.0, 1), SlideEvent(lecture, 4, 2.0, 2)]
    commit(client, lecture, [event for frame in range(8) for event in frame_events(lecture, frame, ["p01"])])
    commit(client, lecture, [*slides, *frame_events(lecture, 8, ["p01"])])
    expect(page.locator("#slides a")).to_have_text(["1", "2"])
    expect(page.locator("#chapters")).to_be_hidden()
    page.set_viewport_size({"width": 1000, "height": 400})
    page.locator("#slides a").nth(1).click()
    expect(page.locator("#now-at")).to_have_text("at 0:00:02")
    expect(page.locator("#class-chart")).to_be_in_viewport()


def test_the_page_says_how_far_behind_it_is(page: Page, client: redis.Redis, lecture: str) -> None:
    begin(client, lecture)
    keys = LectureKeys(lecture)
    client.hset(keys.info, "expected", 100)
    client.hset(keys.in_flight, "1", encode(InFlight(40, 1)))
    commit(client, lecture, frame_events(lecture, 0, ["p01"]))
    expect(page.locator("#behind")).to_have_text("1% of the recording, 20 s behind")  # 40 frames at 2 a second
    client.hdel(keys.info, "expected")
    client.hset(keys.info, mapping={"live": 1, "started": time.time() - 300})
    expect(page.locator("#behind")).to_have_text(re.compile(r"^0:0[5-9]:\d\d behind$"))
    page.locator("#pause").click()
    expect(page.locator("#behind")).to_be_hidden()


def test_a_participant_is_away_after_five_seconds_or_two_frames(page: Page, client: redis.Redis, lecture: str) -> None:
    last = page.locator('[data-participant="p01"] .last')
    begin(client, lecture)
    client.hset(LectureKeys(lecture).info, "fps", 0.25)
    commit(client, lecture, frame_events(lecture, 0, ["p01"]))
    for frame, said in ((16, "in view"), (24, "away for 0:00:12")):  # these frames are half a second apart
        commit(client, lecture, [class_(lecture, frame, 0)])
        expect(page.locator("#status")).to_have_text("running")
        expect(page.locator("#faces")).to_have_text("0")
        expect(last).to_have_text(said)


def shares(**given: float) -> dict[str, float]:
    return {emotion: given.get(emotion, 0.0) for emotion in EMOTIONS}


def colour_at(page: Page, participant: str, part: float) -> tuple[int, ...]:
    """The colour of a participant's strip at this part of its width; (0, 0, 0, 0) where it is empty."""
    script = """([who, part]) => {
        const canvas = document.querySelector(`[data-participant="${who}"] canvas`);
        const x = Math.floor(part * canvas.width);
        return [...canvas.getContext("2d").getImageData(x, Math.floor(canvas.height * 0.12), 1, 1).data];
    }"""
    return tuple(page.evaluate(script, [participant, part]))


def painted(emotion: str) -> tuple[int, ...]:
    code = COLOURS[emotion]
    return (*(int(code[at : at + 2], 16) for at in (1, 3, 5)), 255)


def test_participants_whose_events_are_lost_are_shown_as_lost(
    page: Page, client: redis.Redis, lecture: str, errors: list[str]
) -> None:
    begin(client, lecture)
    client.hset(LectureKeys(lecture).participants, "p01", encode(ParticipantSpan(0.0, 1.0, 3)))  # its stream is gone
    commit(client, lecture, frame_events(lecture, 0, ["p02"]))
    expect(page.locator("#missing")).to_contain_text("p01 (all 3 events lost)")
    cells = page.locator("tr[data-participant=p01]").locator(".current, .seen")
    expect(cells).to_have_text(["all 3 events lost", "\N{EN DASH}"])
    assert errors == []


def test_the_colour_of_a_strip_shows_what_was_displayed(page: Page, client: redis.Redis, lecture: str) -> None:
    begin(client, lecture)
    sure = {name: shares(**{name: 0.9, "neutral": 0.1}) for name in ("happiness", "sadness")}
    for frame in range(20):
        shown = "happiness" if frame < 10 else "sadness"
        event = msgspec.structs.replace(emotion(lecture, "p01", frame, shown), scores=sure[shown])
        commit(client, lecture, [event, class_(lecture, frame, 1)])
    expect(page.locator('[data-participant="p01"] .current')).to_have_text("sadness 90%")
    page.wait_for_function("document.querySelector('#cursor').max === '9'")
    charts_drawn(page)
    assert colour_at(page, "p01", 0.2) == painted("happiness")
    assert colour_at(page, "p01", 0.8) == painted("sadness")


def test_any_time_can_be_chosen_with_the_keyboard(page: Page, client: redis.Redis, lecture: str) -> None:
    begin(client, lecture)
    for frame in range(8):
        commit(client, lecture, frame_events(lecture, frame, ["p01"] if frame < 4 else []))
    expect(page.locator("#readout")).to_contain_text("0:00:03 to 0:00:04: no face in view")
    slider = page.locator("#cursor")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator("#readout")).to_contain_text("0:00:00 to 0:00:01: happiness 76%")
    assert (slider.get_attribute("aria-valuetext") or "").startswith("0:00:00 to 0:00:01: happiness")
    expect(page.locator("#now-heading")).to_have_text("The class at 0:00:00")
    commit(client, lecture, frame_events(lecture, 8, ["p01"]))
    expect(page.locator("#faces")).to_have_text("1")
    expect(page.locator("#readout")).to_contain_text("0:00:00 to 0:00:01")  # the chosen time stays
    page.locator("#live").click()
    expect(page.locator("#now-heading")).to_contain_text("The class now, 0:00:04")


def test_pausing_reloading_and_forgetting(page: Page, client: redis.Redis, lecture: str) -> None:
    begin(client, lecture)
    commit(client, lecture, frame_events(lecture, 0, ["p01"]))
    expect(page.locator("#faces")).to_have_text("1")
    page.locator("#pause").click()
    expect(page.locator("#status")).to_have_text("paused")
    commit(client, lecture, frame_events(lecture, 1, ["p01", "p02"]))
    page.locator("#pause").click()
    expect(page.locator("#faces")).to_have_text("2")
    page.reload()
    expect(page.locator("#faces")).to_have_text("2")
    expect(page.locator("#participants-body tr")).to_have_count(2)
    client.delete(LectureKeys(lecture).feeder)
    forget(client, lecture)
    expect(page.locator("#status")).to_have_text("forgotten: all results were erased")
    expect(page.locator("#participants-body tr")).to_have_count(0)
    expect(page.locator("#class-chart path")).to_have_count(0)


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_wider_than_the_window(page: Page, client: redis.Redis, lecture: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    begin(client, lecture)
    commit(client, lecture, frame_events(lecture, 0, [f"participant-with-a-long-name-{n}" for n in range(20)]))
    expect(page.locator("#participants-body tr")).to_have_count(20)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_lecture_of_the_class_only_says_so_and_the_page_is_dark_if_the_system_is(
    page: Page, client: redis.Redis, lecture: str
) -> None:
    begin(client, lecture)
    commit(client, lecture, [class_(lecture, 0, 30)])
    expect(page.locator("#participants-note")).to_have_text("Nothing is published per person in this lecture.")
    expect(page.locator("#participants")).to_be_hidden()
    background = "getComputedStyle(document.documentElement).backgroundColor"
    for scheme, colour in (("dark", "rgb(15, 18, 22)"), ("light", "rgb(244, 245, 247)")):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert page.evaluate(background) == colour


def test_the_token_opens_the_page_and_its_stream(browser: Browser, redis_url: str, client: redis.Redis) -> None:
    begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01"]))
    with serving(redis_url, "l", "--host", "0.0.0.0") as address:
        page = browser.new_page()
        port = address.partition("?")[0].rstrip("/").rpartition(":")[2]
        page.goto(f"http://127.0.0.1:{port}/?{address.partition('?')[2]}")
        page.wait_for_url("**/lectures/l")
        expect(page.locator("#status")).to_have_text("running")
        assert "token" not in page.url
        page.close()
