"""Lecture: what a class displays over time, who was seen, and how much of it."""

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
    "What faces **display**, read by models that are wrong about one time in three on everyday pictures; not what "
    "anybody feels, thinks or understands. Not for grading, ranking or disciplining people. In the European Union "
    "inferring emotions in education is prohibited (AI Act, Article 5(1)(f)) but for medical or safety reasons."
)


def board() -> Dashboard:
    """One lecture while it runs. When it is over its series end, and `producer report` shows all of it."""
    into = panels.board("LecturePulse: Lecture", "lecturepulse-lecture", __doc__ or "").with_variable(lecture_choice())
    shares = chart(
        "Displayed expression of the class",
        "Mean probabilities over the faces of the last seconds.",
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
        number("People known", "Participants seen so far.", f"max({_of('participants')})", span=QUARTER),
        number("Faces now", "In the newest frame.", f"max({_of('faces')})", span=QUARTER),
        number(
            "Coverage",
            "Share of the known participants who are in the newest frames. Low: figures stand for few.",
            f"max({_of('coverage')})",
            "percentunit",
            [(0.5, AMBER), (0.8, GREEN)],
            span=QUARTER,
            below=RED,
        ),
        number(
            "Newest event",
            "Its age. Grows when the source is gone or the workers are behind.",
            f"max({_of('source_age_seconds')})",
            "s",
            [(30, AMBER), (120, RED)],
            span=QUARTER,
        ),
        shares,
        chart(
            "Valence and arousal",
            "Expected pleasure and arousal of what is displayed, -1 to 1 (Russell and Mehrabian, 1977); mean over the "
            "faces of the last seconds.",
            Line(f"max({_of('valence')})", "valence"),
            Line(f"max({_of('arousal')})", "arousal"),
            span=HALF,
            lowest=-1,
            highest=1,
        ),
        chart(
            "Who is seen",
            "Faces in the newest frame, and participants known so far.",
            Line(f"max({_of('faces')})", "faces"),
            Line(f"max({_of('participants')})", "participants"),
            span=HALF,
        ),
        chart(
            "Coverage",
            "Share of the known participants who are in the newest frames.",
            Line(f"max({_of('coverage')})", "coverage"),
            unit="percentunit",
            span=HALF,
            highest=1,
        ),
        chart(
            "Frames",
            "Where every sampled frame went; what is missing to sampled is in flight.",
            *(Line(f"max({_of(f'frames_{what}_total')})", what) for what in ("published", "dropped", "failed")),
            Line(f"max({_of('frames_sampled_total')})", "sampled"),
            span=HALF,
        ),
    ):
        into.with_panel(panel)
    return into.build()


def _of(what: str) -> str:
    return f'lecturepulse_lecture_{what}{{lecture="$lecture"}}'
