"""Lecture: the displayed expression of a class over time, and how many of its participants are in view."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana import panels
from deploy.grafana.panels import (
    AMBER,
    EMOTION_COLOURS,
    GREEN,
    HALF,
    QUARTER,
    RED,
    Line,
    chart,
    colour,
    lecture_choice,
    number,
    words,
)

CAUTION = (
    "This is the expression that faces **display**, not what people feel, think or understand. The models are wrong "
    "for about one in three everyday pictures. Do not grade, rank or discipline people by it. In the European Union, "
    "inferring emotions in education is prohibited (AI Act, Article 5(1)(f)) except for medical or safety reasons."
)


def board() -> Dashboard:
    """One lecture while it runs. Its series end with it; `producer report` then shows all of it."""
    into = panels.board("LecturePulse: Lecture", "lecturepulse-lecture", __doc__ or "").with_variable(lecture_choice())
    shares = chart(
        "Displayed expression of the class",
        "Mean probabilities over the readable faces of the last seconds.",
        Line(f"max by (emotion) ({_of('emotion_share')})", "{{emotion}}"),
        unit="percentunit",
        span=24,
        stacked=True,
        highest=1,
    )
    for emotion, value in EMOTION_COLOURS.items():
        shares.override_by_name(emotion, colour(value))
    for panel in (
        words(CAUTION),
        number("Participants", "All participants until now.", f"max({_of('participants')})", span=QUARTER),
        number("Faces", "Faces in the newest frame.", f"max({_of('faces')})", span=QUARTER),
        number(
            "Coverage",
            "Share of all participants who are in the newest frames. If it is low, the values describe few people.",
            f"max({_of('coverage')})",
            "percentunit",
            [(0.5, AMBER), (0.8, GREEN)],
            span=QUARTER,
            below=RED,
        ),
        number(
            "Age of the newest event",
            "It grows when the source is gone or the workers are behind.",
            f"max({_of('source_age_seconds')})",
            "s",
            [(30, AMBER), (120, RED)],
            span=QUARTER,
        ),
        shares,
        chart(
            "Valence and arousal",
            "A fixed linear map of the scores, -1 to 1: the expected pleasure and arousal of the displayed expression "
            "(Russell and Mehrabian, 1977). Mean over the faces of the last seconds.",
            Line(f"max({_of('valence')})", "valence"),
            Line(f"max({_of('arousal')})", "arousal"),
            span=HALF,
            lowest=-1,
            highest=1,
        ),
        chart(
            "Faces and participants",
            "Faces in the newest frame, those of them that cannot be read (too small, turned away, dark or blurred), "
            "and all participants until now.",
            Line(f"max({_of('faces')})", "faces"),
            Line(f"max({_of('faces_unreadable')})", "not readable"),
            Line(f"max({_of('participants')})", "participants"),
            span=HALF,
        ),
        chart(
            "Coverage",
            "Share of all participants who are in the newest frames.",
            Line(f"max({_of('coverage')})", "coverage"),
            unit="percentunit",
            span=HALF,
            highest=1,
        ),
        chart(
            "Frames",
            "Sampled frames, and what became of them. Sampled frames that are in no other line are in flight.",
            *(Line(f"max({_of(f'frames_{what}_total')})", what) for what in ("published", "dropped", "failed")),
            Line(f"max({_of('frames_sampled_total')})", "sampled"),
            span=HALF,
        ),
    ):
        into.with_panel(panel)
    return into.build()


def _of(what: str) -> str:
    return f'lecturepulse_lecture_{what}{{lecture="$lecture"}}'
