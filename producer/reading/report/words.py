"""The sentences of a report."""

from typing import Any

import numpy as np

from producer.presentation.clock import clock, date
from producer.presentation.thresholds import away_after_s
from producer.reading.analysis.chance import MOST_P
from producer.reading.analysis.coming_and_going import MOST_P as MOST_P_OF_GOING
from producer.reading.analysis.losses import loss_line
from producer.reading.analysis.sentences import UNWRITTEN, Sentence, no_face
from producer.reading.analysis.stretches import MIN_S as STRETCH_S
from producer.reading.analysis.timeline import MIN_FOR_MARGIN, Timeline
from producer.reading.report.content import Content
from producer.reading.report.model_tests import ModelTests
from worker.contract.messages import TURNED_AWAY_DEG

CLASS_LOST = "The events of the class are lost"


def facts(content: Content) -> dict[str, Any]:
    """Title, subtitle, warning and footer."""
    lecture, timeline = content.lecture, content.timeline
    count = len(timeline.everybody)
    subtitle = [lecture.info.source, date(lecture.info.started)]
    if timeline.bins:
        begin = lecture.info.begin
        length = f"{clock(timeline.seconds)} long" if begin is None else f"{clock(begin)} to {clock(timeline.seconds)}"
        subtitle.append(length)
    subtitle += [f"{count} participant{'s' if count != 1 else ''}"] if count else []
    return {
        "title": f"Lecture {lecture.id}",
        "subtitle": subtitle,
        "warnings": _warnings(content),
        "made": f"Made by LecturePulse on {date(content.made.timestamp())}. This file needs no network.",
    }


def _warnings(content: Content) -> list[str]:
    warnings = [_unfinished(content)]
    if content.losses:
        warnings.append(f"The report is incomplete: {loss_line(content.losses)}.")
    return list(filter(None, warnings))


def _unfinished(content: Content) -> str:
    info = content.lecture.info
    if info.status == "running":
        state = "was abandoned by its producer" if content.lecture.abandoned else "is still running"
        return f"This lecture {state}. The report shows its results of {date(content.made.timestamp())}."
    if info.status != "done":
        ended = {"failed": "ended with failures", "stopped": "was stopped before its end"}[info.status]
        return f"This lecture {ended}{f': {info.reason}' if info.reason else ''}."
    return ""


def margins(timeline: Timeline) -> str:
    """The band of uncertainty in the chart of valence and arousal."""
    if not timeline.participants:
        return "There is no band of uncertainty, because single participants are not known."
    if np.isnan(timeline.margins).all():
        few = "participants whose face can be read. There were fewer."
        return f"A band of uncertainty needs at least {MIN_FOR_MARGIN} {few}"
    return (
        "The band is the 95% interval of the mean (Student's t), from the spread between the participants whose face "
        f"can be read. Fewer than {MIN_FOR_MARGIN} have no band. The errors of the models are not part of it."
    )


def class_figures(content: Content) -> str:
    """Whose figures the class's are, if not everybody's."""
    if content.few:
        timeline = content.timeline
        steps = (timeline.hidden > 0) & np.isnan(timeline.scores[:, 0])
        hidden = float(timeline.frames[steps].sum()) / max(timeline.analysed, 1)
        return (
            f"Small groups stay hidden: nothing is shown of {content.few} ({hidden:.0%} of the time). The class is a "
            "fixed group. People join or leave it together, never fewer than that at once. Until then, the last "
            "expression of a person who left still counts. So nobody's expression can be found by subtraction."
        )
    if not content.left_out:
        return ""
    left_out = content.timeline.left_out
    who = ", ".join(f"{content.label(each.id)}, {content.left_out[each.id]}" for each in left_out)
    without = who or f"{len(content.left_out)} of the people in view"
    return (
        f"Without {without}, as the roster says. So the figures of the class come from the events of the other "
        "participants. How many faces were in view at most, and whether nobody was, is then known by steps and not by "
        "frames."
    )


def presence(timeline: Timeline) -> str:
    """What the chart of the people who face the screen shows."""
    mean = timeline.mean_presence
    everybody = mean is not None and not np.isnan(mean[-1])
    turned = f"is turned to a side by more than {TURNED_AWAY_DEG}°"
    parts = f"faces the screen, {turned}, and who are out of view" if everybody else f"faces the screen or {turned}"
    shown = f"From bottom to top, the shares of people whose head {parts}. "
    counted = (
        "A participant counts from their first to their last sighting. "
        if everybody
        else "Single participants are not known, so only faces in view count. "
    )
    return (
        f"{shown}{counted}These are signs to be seen. Their cause is not: a second screen, notes or a question from "
        "the side turn a head, too."
    )


def first(content: Content) -> list[Sentence]:
    """The sentences that the report begins with."""
    if content.class_lost and not content.moments:
        return [Sentence((f"{CLASS_LOST}, so it is not known how the class went.",))]
    return content.sentences


def moments(content: Content) -> list[str]:
    """How moments are found, and how certain they are."""
    compared = (
        "Everybody is compared with themselves in the rest of the lecture. So resting faces, and people who come and "
        "go, do not count as a change."
        if content.timeline.certainty.sightings
        else "Single participants are not known, so a change may also mean that other people were in view, and people "
        "who come and go are known from the number of faces alone."
    )
    return [
        f"{compared} A stretch lasts at least {STRETCH_S:g} s. A burst lasts a few seconds, and begins and ends with a "
        "step. People arrive at their first sighting and leave at their last one. Points are percentage points of a "
        "share.",
        "p is the share of lectures made by chance in which the largest change anywhere is larger: the same people, "
        "but each at another time, so that they do not change together (of unknown people: the same class, in another "
        f"order). Moments with p above {MOST_P:g} are left out, and groups of people who come or go with p above "
        f"{MOST_P_OF_GOING:g}: others come and go at random times. The errors of the models are not part of it.",
    ]


def nothing(content: Content) -> str:
    """Why there are no charts of the class."""
    if content.class_lost:
        return f"{CLASS_LOST}, so there is nothing to show."
    return f"{no_face(content.timeline, content.left_out)}, so there is nothing to show."


def coverage(content: Content) -> list[str]:
    """How many frames and faces there were, and the meaning of the table's columns."""
    timeline, ledger = content.timeline, content.lecture.ledger
    if content.class_lost:
        return [f"{CLASS_LOST}, so the number of faces and the share of frames with a participant are not known."]
    if not timeline.bins:
        return ["No frame was analysed."]
    words = f"{timeline.analysed} frames were analysed."
    if timeline.most_faces:
        words += f" On average {timeline.mean_faces:.1f} faces were in view, at most {timeline.most_faces}."
        if (empty := timeline.empty / timeline.analysed) > UNWRITTEN:
            words += f" In {empty:.0%} of the frames nobody was in view."
        if timeline.unreadable > UNWRITTEN:
            words += (
                f" {timeline.unreadable:.0%} of the faces were too small, turned away, too dark or too blurred to be "
                "read. They count as seen and have no expression."
            )
    else:
        words += f" {no_face(timeline, content.left_out)}."
    lost = ledger.dropped + ledger.failed
    words += f" {lost} more frames were dropped or failed; nothing is known about them." if lost else ""
    if not timeline.everybody:
        return [words]
    away_after = away_after_s(content.lecture.info.fps)
    columns = (
        "“Seen” is the share of these frames in which the participant was found and tracked. “Not readable” is the "
        "share of the latter in which the face could not be read. “Away” counts how "
        f"often the participant was not seen for more than {away_after:g} s between the first and the last "
        "time. A face that is covered, or that the detector does not find, counts as away too. Not being in the "
        "picture does not mean not being in the lecture."
    )
    return [words, columns]


def certainty(content: Content) -> list[str]:
    """How large the shares were, how often the networks agreed, and whether the models are known."""
    timeline = content.timeline
    known = timeline.certainty
    versions = ", ".join(version or "unknown" for version, _ in timeline.versions.most_common())
    words = [] if timeline.bins or content.class_lost else ["No frame was analysed, so the models predicted nothing."]
    if known.sightings:
        words.append(
            f"In {known.sightings} sightings the strongest expression had a share of {known.confidence:.0%} on "
            "average. If the models were as well calibrated here as on their test pictures, they would be right about "
            f"{100 * known.confidence:.0f} times in 100. Expect less on pictures that differ from those."
        )
    if known.compared:
        agreed = ", ".join(
            f"{network} in {known.agreed[network] / count:.0%}"
            for network, count in sorted(known.predicted.items())
            if count
        )
        words.append(
            f"More than one network read {known.compared} of these sightings. All networks predicted the same in "
            f"{known.unanimous / known.compared:.0%} of them. The networks agreed with the ensemble: {agreed}."
        )
    elif known.sightings and known.predicted:
        words.append("Only one network was used, so there is no second prediction to compare with.")
    if not known.sightings and timeline.mean_scores is not None:
        words.append("The certainty about single faces is not stored for this lecture.")
    if timeline.versions and content.tested is None:
        words.append(
            f"The models (version {versions}) do not come with this program, so their tests are not known here. Ask "
            "the person who made them."
        )
    return words


def model_tests(tests: ModelTests) -> list[str]:
    """How the models were tested, and how to read the table."""
    metrics = tests.ensemble.figures
    return [
        f"Measured on {tests.ensemble.date} with the quantized models that are shipped, on pictures that were not used "
        "for training. The weights of the ensemble were chosen on the same pictures, so its result is a little too "
        f"good. The pictures of {tests.models[0].validation} are everyday pictures and the harder test.",
        f"As a mean over the seven expressions, the ensemble is right in {metrics.macro_recall:.0%}. Its shares differ "
        f"from how often it is right by {100 * metrics.ece:.0f} percentage points on average (expected calibration "
        "error).",
    ]


def span(seconds: float) -> str:
    """A length of time in words."""
    if seconds < 120:
        return f"{seconds:g} s" if seconds == int(seconds) else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else clock(seconds)
