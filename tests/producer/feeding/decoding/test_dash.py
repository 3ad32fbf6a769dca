"""The HLS playlist that is made of a DASH manifest."""

import pytest

from producer.feeding.decoding.container import Unreadable
from producer.feeding.decoding.dash import MAX_SEGMENTS, as_playlist

URL = "https://me:pw@host/a/list.mpd?key=1"
NUMBERED = '<SegmentTemplate media="$RepresentationID$/$Number%03d$.m4s" initialization="i.mp4" {more}/>'


def manifest(periods: str, attributes: str = 'mediaPresentationDuration="PT1M2.5S"') -> bytes:
    return f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" {attributes}>{periods}</MPD>'.encode()


def period(segments: str, attributes: str = "", more: str = "") -> str:
    return (
        f'<Period {attributes}><AdaptationSet contentType="audio"><Representation id="s" bandwidth="9"/>'
        f'</AdaptationSet><AdaptationSet mimeType="video/mp4">{segments}<Representation id="low" width="320" '
        f'height="180" bandwidth="100"/><Representation id="high" width="1280" height="720" bandwidth="900">{more}'
        "</Representation></AdaptationSet></Period>"
    )


def lines(content: bytes, wanted: str | None = None) -> list[str]:
    """The lines of the playlist, without those that all playlists have."""
    text = as_playlist(content, URL, wanted, 1920).text.decode().splitlines()
    assert (text[0], text[-1]) == ("#EXTM3U", "#EXT-X-ENDLIST")
    return text[4:-1]


def test_segments_of_equal_length_are_counted_from_the_duration() -> None:
    template = NUMBERED.format(more='duration="20000" timescale="1000" startNumber="7"')
    assert lines(manifest(period(template))) == [
        '#EXT-X-MAP:URI="https://me:pw@host/a/i.mp4"',
        *("#EXTINF:20.000000,", "https://me:pw@host/a/high/007.m4s"),
        *("#EXTINF:20.000000,", "https://me:pw@host/a/high/008.m4s"),
        *("#EXTINF:20.000000,", "https://me:pw@host/a/high/009.m4s"),
        *("#EXTINF:20.000000,", "https://me:pw@host/a/high/010.m4s"),
    ]


def test_another_rendition_can_be_chosen() -> None:
    found = as_playlist(manifest(period(NUMBERED.format(more='duration="90"'))), URL, "1", 1920)
    assert b"/a/low/001.m4s" in found.text
    assert (found.choice.number, found.choice.usual) == (1, False)


def test_segments_of_a_timeline_repeat_up_to_the_next_time_or_the_end() -> None:
    timeline = '<S t="100" d="20"/><S d="10" r="1"/><S t="150" d="50" r="-1"/><S t="250" d="25" r="-1"/>'
    more = f"<SegmentTemplate><SegmentTimeline>{timeline}</SegmentTimeline></SegmentTemplate><BaseURL> b/ </BaseURL>"
    template = '<SegmentTemplate timescale="10" media="$Bandwidth$-$Time$$$" presentationTimeOffset="100"/>'
    names = [line for line in lines(manifest(period(template, 'duration="PT20S"', more))) if "://" in line]
    times = (100, 120, 130, 150, 200, 250, 275)
    assert names == [f"https://me:pw@host/a/b/900-{time}$" for time in times]


def test_ranges_of_bytes_are_kept() -> None:
    listed = (
        '<SegmentList duration="5"><Initialization sourceURL="i" range="0-99"/><SegmentURL mediaRange="100-299"/>'
        '<SegmentURL media="https://other/&quot;x&#10;"/></SegmentList><BaseURL>v.mp4</BaseURL>'
    )
    assert lines(manifest(period("", more=listed))) == [
        '#EXT-X-MAP:URI="https://me:pw@host/a/i",BYTERANGE="100@0"',
        *("#EXTINF:5.000000,", "#EXT-X-BYTERANGE:200@100", "https://me:pw@host/a/v.mp4"),
        *("#EXTINF:5.000000,", "https://other/%22x"),
    ]


def test_a_single_file_is_named() -> None:
    alone = as_playlist(manifest(period("", more="<BaseURL>a.mp4</BaseURL>")), URL, None, 1920)
    assert alone.file == "https://me:pw@host/a/a.mp4"


def test_labels_and_roles_are_names() -> None:
    two = "".join(
        f'<AdaptationSet contentType="video" lang="{lang}"><Role value="{role}"/><Label>{label}</Label>'
        f'<Representation width="{width}" height="90"><BaseURL>{width}.mp4</BaseURL></Representation></AdaptationSet>'
        for lang, role, label, width in (("de", "alternate", "", 640), ("en", "main", "Lecturer", 320))
    )
    content = manifest(f"<Period>{two}</Period>")
    found = as_playlist(content, URL, None, 1920)
    assert found.choice.notice == (
        "has 2 videos: 1 (640x90, de, alternate), 2 (320x90, en, Lecturer); video 2 is read; choose with --stream N"
    )
    assert as_playlist(content, URL, "DE", 1920).file == "https://me:pw@host/a/640.mp4"


BOMB = b'<!DOCTYPE MPD [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]><MPD><BaseURL>&b;</BaseURL></MPD>'


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (manifest("", 'type="dynamic"'), r"is a live DASH stream, which cannot be read; give its HLS address"),
        (manifest(""), r"is a DASH manifest without a video"),
        (manifest(period("", more="<ContentProtection/>").replace('id="low"', 'mimeType="audio/mp4"')), r"encrypted"),
        (manifest(2 * period(NUMBERED.format(more='duration="9"'))), r"is a DASH manifest of 2 periods;"),
        (b"<MPD", r"is a DASH manifest with an error"),
        (BOMB, r"is a DASH manifest with an error \(it has a DOCTYPE\)"),
        (manifest(period(NUMBERED.format(more='duration="1"')), ""), r"is a DASH manifest with an error"),
        (manifest(period(NUMBERED.format(more='duration="1"')), 'mediaPresentationDuration="1 h"'), r"'1 h' is not a "),
        (manifest(period(NUMBERED.format(more='duration="1" timescale="x"'))), r"is a DASH manifest with an error"),
        (manifest(period(NUMBERED.format(more='duration="1" timescale="0"'))), r"is a DASH manifest with an error"),
        (manifest(period("", more="<BaseURL>tcp://host:1/</BaseURL>")), r"it names a tcp: address"),
        (manifest(period('<SegmentTemplate duration="9"/>')), r"is a DASH manifest that lacks 'media'"),
        (manifest(period(NUMBERED.format(more='duration="1" endNumber="999999999999"'))), rf"than {MAX_SEGMENTS} seg"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(content: bytes, problem: str) -> None:
    with pytest.raises(Unreadable, match=problem) as refused:
        as_playlist(content, URL, None, 1920)
    assert "\n" not in str(refused.value)
