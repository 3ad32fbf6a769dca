"""Moments and chapters as subtitles, and a lecture as ELAN reads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from webvtt import WebVTT

from producer.reading.analysis.names import Roster
from producer.reading.export import export
from producer.reading.formats.annotations import Annotation, Tier
from producer.reading.formats.elan import write_eaf
from producer.reading.formats.subtitles import write_vtt
from tests.producer.reading.scripted import scripted_events, write_scripted
from worker.contract.keys import LectureKeys

OTHERS = ("class", "moments", "chapters", "slides")
TITLES = ("=1+1 --> <b>&amp;</b>", "Bayes")


@pytest.fixture
def lecture(client: redis.Redis) -> redis.Redis:
    """Six minutes of eight people. Happy from 2:00 to 2:40. p03 is away for a while, p02 at last not readable."""

    def shows(person: int, frame: int) -> str | None:
        if person == 2 and 40 <= frame < 80:
            return None
        if person == 1 and frame >= 600:
            return "small"
        return "happiness" if 240 <= frame < 320 else "neutral"

    write_scripted(client, scripted_events(8, 720, shows))
    chapters = [{"t": 0, "title": TITLES[0]}, {"t": 60.5, "title": TITLES[1]}]
    client.hset(LectureKeys("l").info, "chapters", json.dumps(chapters))
    return client


def test_subtitles_hold_chapters_and_moments_and_no_markup(lecture: redis.Redis, tmp_path: Path) -> None:
    assert export(lecture, "l", tmp_path / "e.vtt") == (True, [])
    assert "&lt;b&gt;&amp;amp;" in (tmp_path / "e.vtt").read_text()
    cues = WebVTT.read(str(tmp_path / "e.vtt")).captions
    chapters = [cue for cue in cues if str(cue.identifier).startswith("chapter")]
    assert [(cue.start, cue.end) for cue in chapters] == [
        ("00:00:00.000", "00:01:00.500"),
        ("00:01:00.500", "00:06:00.000"),
    ]
    moments = [cue for cue in cues if str(cue.identifier).startswith("moment")]
    assert "8 of 8 people displayed more happiness than usual" in moments[0].text
    assert (moments[0].start_in_seconds, moments[0].end_in_seconds) == pytest.approx((120, 160), abs=5)


@given(st.text())
def test_any_title_is_one_cue(tmp_path_factory: pytest.TempPathFactory, title: str) -> None:
    path = tmp_path_factory.mktemp("vtt") / "e.vtt"
    with path.open("wb") as file:
        write_vtt({"chapter": [Annotation(0.0, 1.0, title), Annotation(1.0, 2.0, "next")]}, file)
    assert [cue.identifier for cue in WebVTT.read(str(path)).captions] == ["chapter 1", "chapter 2"]


def test_elan_gets_a_tier_for_each_participant_and_the_class_moments_and_chapters(
    lecture: redis.Redis, tmp_path: Path
) -> None:
    assert export(lecture, "l", tmp_path / "e.eaf", Roster({"p01": "Ann <x>"})).over
    tiers = annotations(tmp_path / "e.eaf")
    assert list(tiers) == ["Ann <x> (p01)", *(f"p{n:02d}" for n in range(2, 9)), *OTHERS]
    both = [(0, 120_000, "neutral"), (120_000, 160_000, "happiness"), (160_000, 360_000, "neutral")]
    assert tiers["Ann <x> (p01)"] == tiers["p04"] == tiers["class"] == both
    assert tiers["p02"][2:] == [(160_000, 300_000, "neutral"), (300_000, 360_000, "not readable")]
    assert tiers["p03"][:2] == [(0, 20_000, "neutral"), (40_000, 120_000, "neutral")]
    assert tiers["chapters"] == [(0, 60_500, TITLES[0]), (60_500, 360_000, TITLES[1])]
    assert tiers["moments"]


ANNOTATIONS = st.builds(
    lambda start, length, text: Annotation(start, start + length, text),
    st.floats(0, 10_000),
    st.floats(0, 100),
    st.text(st.characters(exclude_categories=())),
)


@given(st.lists(ANNOTATIONS, max_size=20))
def test_annotations_of_a_tier_never_overlap_and_any_text_is_valid(
    tmp_path_factory: pytest.TempPathFactory, given: list[Annotation]
) -> None:
    path = tmp_path_factory.mktemp("eaf") / "e.eaf"
    with path.open("wb") as file:
        write_eaf([Tier("moments", given), Tier("empty", [])], file)
    tiers = annotations(path)
    assert sum(map(len, tiers.values())) == len(given)
    assert tiers["empty"] == []


def annotations(path: Path) -> Mapping[str, list[tuple[int, int, str]]]:
    """Tier -> (start, end, text) in milliseconds. AssertionError for what ELAN refuses."""
    root = ElementTree.parse(path).getroot()
    assert [child.tag for child in root][:2] == ["HEADER", "TIME_ORDER"]
    assert root.find("HEADER").get("TIME_UNITS") == "milliseconds"  # type: ignore[union-attr]
    slots = [(slot.get("TIME_SLOT_ID"), int(slot.get("TIME_VALUE") or -1)) for slot in root.iter("TIME_SLOT")]
    times = dict(slots)
    assert len(times) == len(slots)
    assert [time for _, time in slots] == sorted(times.values())
    types = {each.get("LINGUISTIC_TYPE_ID") for each in root.iter("LINGUISTIC_TYPE")}
    ids = [each.get("ANNOTATION_ID") for each in root.iter("ALIGNABLE_ANNOTATION")]
    assert len(set(ids)) == len(ids)
    found: dict[str, list[tuple[int, int, str]]] = {}
    for tier in root.iter("TIER"):
        assert tier.get("LINGUISTIC_TYPE_REF") in types
        name = tier.get("TIER_ID") or ""
        assert name not in found
        found[name] = sorted(
            (times[each.get("TIME_SLOT_REF1")], times[each.get("TIME_SLOT_REF2")], each[0].text or "")
            for each in tier.iter("ALIGNABLE_ANNOTATION")
        )
        ends = [0, *(end for _, end, _ in found[name])]
        assert all(before <= start < end for before, (start, end, _) in zip(ends, found[name], strict=False))
    return found
