"""Events of all kinds, as Hypothesis makes them."""

from hypothesis import strategies as st
from msgspec import UNSET

from worker.contract.messages import (
    EMOTIONS,
    UNREADABLE,
    ClassEvent,
    EmotionEvent,
    EndEvent,
    Ledger,
    Pose,
    SlideEvent,
)

SHARES = st.floats(0, 1)
TIMES = st.floats(0, 1e6)
COUNTS = st.integers(0, 2**53)
FRAMES = st.integers(0, 10_000)
PIXELS = st.integers(-(2**16), 2**16)
DEGREES = st.integers(-180, 180)
WORDS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
SCORES = st.fixed_dictionaries(dict.fromkeys(EMOTIONS, SHARES))
UNSURE = st.none() | st.floats(-1, 1)

EMOTION_EVENTS = st.builds(
    EmotionEvent,
    lecture=st.just("g9"),
    participant=st.sampled_from(["p01", "p02", "Anna-B_3"]),
    frame=FRAMES,
    t=TIMES,
    box=st.tuples(PIXELS, PIXELS, PIXELS, PIXELS),
    detection=SHARES,
    emotion=st.none() | st.sampled_from(EMOTIONS) | WORDS,
    scores=st.none() | SCORES,
    smoothed=st.none() | SCORES,
    valence=UNSURE,
    arousal=UNSURE,
    models=st.dictionaries(WORDS, WORDS, max_size=3),
    model_version=WORDS,
    readable=st.booleans(),
    reason=st.just(UNSET) | st.sampled_from(UNREADABLE),
    pose=st.just(UNSET) | st.builds(Pose, DEGREES, DEGREES, DEGREES),
)
CLASS_EVENTS = st.builds(
    ClassEvent,
    lecture=st.just("g9"),
    frame=FRAMES,
    t=TIMES,
    faces=COUNTS,
    scores=st.none() | SCORES,
    valence=UNSURE,
    arousal=UNSURE,
    model_version=WORDS,
    unreadable=COUNTS,
    turned_away=st.just(UNSET) | COUNTS,
    damaged=st.just(UNSET) | st.booleans(),
    hidden=st.just(UNSET) | st.booleans(),
)
SLIDE_EVENTS = st.builds(SlideEvent, st.just("g9"), FRAMES, TIMES, st.integers(1, 2**53))
END_EVENTS = st.builds(
    EndEvent,
    lecture=st.just("g9"),
    status=st.sampled_from(["done", "failed", "stopped"]),
    reason=st.none() | WORDS,
    ledger=st.builds(Ledger, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.dictionaries(WORDS, COUNTS, max_size=3)),
    usual=st.just(UNSET) | SCORES,
)
EVENTS = EMOTION_EVENTS | CLASS_EVENTS | SLIDE_EVENTS
