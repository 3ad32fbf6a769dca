"""Simulated lectures whose truth is known: people with resting faces who flicker, drift, are misread, look away and
leave; on top of that, stretches, bursts, arrivals and departures, or nothing at all."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from producer.reading.analysis.timeline import Timeline
from producer.reading.analysis.timeline_builder import TimelineBuilder
from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent, Event, Scores

Values = npt.NDArray[np.float64]

NEUTRAL = EMOTIONS.index("neutral")

SCORES = np.array(json.loads((Path(__file__).parent / "displayed_scores.json").read_text())["people"])
"""[20, 7, 4, 7]: what the models make of 20 people of KDEF: for each displayed emotion four mean scores of some seconds
in rendered galleries, in the order of EMOTIONS."""

BURST_S = 15.0


@dataclass(frozen=True)
class Episode:
    """From `begin` to `end` seconds the share of `emotions` in the class is `points` percentage points larger.

    The change is made by `share` of the people, by each as much."""

    begin: float
    end: float
    emotions: Sequence[str]
    points: float = 30.0
    share: float = 0.7


@dataclass(frozen=True)
class Script:
    """A lecture. `leave` and `join` are person -> seconds. In `hidden` spans of time nobody is in view.

    With `keep_for`, everybody displays one emotion for so many seconds, then another, as in a rendered gallery. Then an
    emotion's share is that of the draws, `neutral` is drawn this often, and what is shorter than BURST_S is displayed
    by a `share` of the people all the time.
    """

    people: int
    seconds: float
    fps: float = 2.0
    episodes: Sequence[Episode] = ()
    leave: dict[int, float] = field(default_factory=dict)
    join: dict[int, float] = field(default_factory=dict)
    hidden: Sequence[tuple[float, float]] = ()
    drift: float = 0.5
    keep_for: tuple[float, float] | None = None
    neutral: float = 1 / 7


@dataclass(frozen=True)
class Played:
    """Scores [people, frames, 7], and who was seen and could be read, [people, frames]."""

    script: Script
    scores: Values
    seen: npt.NDArray[np.bool_]
    read: npt.NDArray[np.bool_]


def played(script: Script, seed: int) -> Played:
    """The lecture of `script`, with the noise of `seed`."""
    random = np.random.default_rng(seed)
    frames = int(script.seconds * script.fps)
    t = np.arange(frames) / script.fps
    scores = np.stack([_person(random, t, script) for _ in range(script.people)])
    for each in () if script.keep_for else script.episodes:
        _play(random, scores, t, each)
    seen = np.stack([_seen(random, t, script, person) for person in range(script.people)])
    read = seen & (random.random(seen.shape) > 0.03)
    for person in range(script.people):
        for begin, end in _spells(random, script.seconds, every=200, lasting=4):
            read[person] &= ~((t >= begin) & (t < end))
    return Played(script, scores, seen, read)


def simulated_timeline(script: Script, seed: int, class_only: bool = False) -> Timeline:
    builder = TimelineBuilder(script.fps)
    for event in events(played(script, seed), class_only):
        builder.add(event)
    return builder.timeline()


def events(lecture: Played, class_only: bool = False) -> Iterator[Event]:
    """All events of a lecture, in order."""
    frames = lecture.scores.shape[1]
    scores = np.round(lecture.scores, 4)
    for frame in range(frames):
        t, read = frame / lecture.script.fps, lecture.read[:, frame]
        if not class_only:
            for person in np.flatnonzero(lecture.seen[:, frame]):
                shown = _named(scores[person, frame]) if read[person] else None
                yield _sighting(f"p{person + 1:02d}", frame, t, shown)
        faces, could = int(lecture.seen[:, frame].sum()), int(read.sum())
        mean = _named(np.round(scores[read, frame].mean(axis=0), 4)) if could else None
        affect = 0.1 if could else None
        yield ClassEvent("l", frame, t, faces, mean, affect, affect, "m1", faces - could)


def _sighting(who: str, frame: int, t: float, scores: Scores | None) -> EmotionEvent:
    box = (1, 2, 30, 40)
    if scores is None:
        return EmotionEvent("l", who, frame, t, box, 0.9, None, None, None, None, None, {}, "m1", False, "turned")
    most = max(scores, key=scores.__getitem__)
    return EmotionEvent("l", who, frame, t, box, 0.9, most, scores, scores, 0.1, 0.1, {"m": most}, "m1")


def _named(values: Values) -> Scores:
    return dict(zip(EMOTIONS, values.tolist(), strict=True))


def _person(random: np.random.Generator, t: Values, script: Script) -> Values:
    """The scores of a person, [frames, 7]: a resting face, noise that lasts, expressions of their own, misreadings."""
    if script.keep_for:
        return _displayed(random, t, script)
    frames, fps = len(t), script.fps
    logits = np.tile(random.normal(0, 0.7, 7) + np.eye(7)[NEUTRAL] * random.uniform(1, 4), (frames, 1))
    for seconds, size in ((0.3, 0.5), (random.uniform(2, 8), 0.8), (random.uniform(15, 60), 0.5)):
        logits += size * _lasting_noise(random, frames, seconds * fps)
    drift = random.normal(0, script.drift, 7)
    logits += np.outer(np.cumsum(random.normal(0, 1, frames)) / frames**0.5, drift)
    for every, lasting in ((random.uniform(30, 200), 4.0), (random.uniform(200, 900), 20.0)):
        for begin, end in _spells(random, script.seconds, every, lasting):
            logits[(t >= begin) & (t < end), random.integers(7)] += random.uniform(2, 6)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def _displayed(random: np.random.Generator, t: Values, script: Script) -> Values:
    """The scores of a person, [frames, 7], who displays one emotion after another: real scores, with a little noise."""
    person = SCORES[random.integers(len(SCORES))]
    scores = np.zeros((len(t), 7))
    taking_part = [random.random() < each.share for each in script.episodes]
    borders = sorted({border for each in script.episodes for border in (each.begin, each.end)})
    now = 0.0
    while now < script.seconds:
        assert script.keep_for
        until = min([now + random.uniform(*script.keep_for), *(each for each in borders if each > now)])
        shown = _drawn(random, script, now, taking_part)
        inside = (t >= now) & (t < until)
        scores[inside] = person[shown, random.integers(person.shape[1])]
        now = until
    scores = np.clip(scores + random.normal(0, 0.03, scores.shape), 0.001, None)
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def _drawn(random: np.random.Generator, script: Script, now: float, taking_part: list[bool]) -> int:
    shares = np.full(7, (1 - script.neutral) / 6)
    shares[NEUTRAL] = script.neutral
    for each, takes_part in zip(script.episodes, taking_part, strict=True):
        raised = [EMOTIONS.index(emotion) for emotion in each.emotions]
        if each.begin <= now < each.end and each.end - each.begin <= BURST_S:
            return raised[0] if takes_part else int(random.choice(7, p=shares))
        if each.begin <= now < each.end:
            usual = float(shares[raised].sum())
            shares *= (1 - usual - each.points / 100) / (1 - usual)
            shares[raised] = (usual + each.points / 100) / len(raised)
    return int(random.choice(7, p=shares))


def _lasting_noise(random: np.random.Generator, frames: int, memory: float) -> Values:
    """[frames, 7] of variance 1 that forget in so many frames."""
    keep = np.exp(-1 / max(memory, 1e-3))
    white = random.normal(0, 1, (frames + 200, 7)) * (1 - keep**2) ** 0.5
    return np.asarray(lfilter([1], [1, -keep], white, axis=0)[200:])


def _spells(random: np.random.Generator, seconds: float, every: float, lasting: float) -> list[tuple[float, float]]:
    begins = random.uniform(0, seconds, random.poisson(seconds / every))
    return [(begin, begin + random.exponential(lasting)) for begin in begins]


def _play(random: np.random.Generator, scores: Values, t: Values, episode: Episode) -> None:
    people = len(scores)
    some = random.permutation(people)[: max(1, round(episode.share * people))]
    inside = (t >= episode.begin) & (t < episode.end)
    part = min(1.0, episode.points / 100 * people / len(some))
    target = np.mean([np.eye(7)[EMOTIONS.index(each)] for each in episode.emotions], axis=0)
    for person in some:
        shown = np.clip(part + 0.15 * _lasting_noise(random, len(t), 4)[:, :1], 0, 1)[inside]
        scores[person, inside] = (1 - shown) * scores[person, inside] + shown * target


def _seen(random: np.random.Generator, t: Values, script: Script, person: int) -> npt.NDArray[np.bool_]:
    seen = (t >= script.join.get(person, 0)) & (t < script.leave.get(person, np.inf))
    seen &= random.random(len(t)) > 0.02
    away = _spells(random, script.seconds, random.uniform(300, 3000), 30) if random.random() < 0.6 else []
    for begin, end in [*away, *script.hidden]:
        seen &= ~((t >= begin) & (t < end))
    return np.asarray(seen)
