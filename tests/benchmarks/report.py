"""`producer report` for an hour of 25 people at 1 fps, over a bare program that only reads and decodes the same events.

Both are whole commands, their start included, on one core, with a Redis on the other. The figures are their processor
time, which other programs change less than the time on the clock. The goal is 2 s.

    python -m tests.benchmarks.report [--repeats 5] [--people 25]
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import redis

from tests.benchmarks.ruler import Result, Terms, main, medians, on_cores, two_cores
from tests.conftest import running_redis
from tests.producer.reading.scripted import scores_of
from tests.producer.reading.writing import begin, end
from worker.contract.connection import connect
from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent, ParticipantSpan, encode
from worker.contract.streams import EVENT_FIELD

FRAMES = 3600
GOAL_S = 2.0
BARE = """
import sys, msgspec, redis
client = redis.from_url(sys.argv[1])
for key in client.scan_iter(_type="STREAM"):
    for _, fields in client.xrange(key):
        msgspec.json.decode(fields[b"event"])
"""


def benchmark(terms: Terms) -> Result:
    core, other = two_cores()
    with (
        tempfile.TemporaryDirectory() as folder,
        on_cores([other]),
        running_redis() as (url, _),
        connect(url) as client,
    ):
        _write_hour(client, terms.people)
        page = Path(folder) / "r.html"

        def report() -> float:
            page.unlink(missing_ok=True)
            return _seconds(core, "-m", "producer", "report", "l", "-o", str(page), "--redis", url)

        found, every = medians({"report": report, "bare": lambda: _seconds(core, "-c", BARE, url)}, terms.repeats)
        size = page.stat().st_size
    ratio = found["report"] / found["bare"]
    return Result(
        ("people", "report s", "bare s", "ratio", "MB"),
        [(str(terms.people), f"{found['report']:.2f}", f"{found['bare']:.2f}", f"{ratio:.2f}", f"{size / 1e6:.1f}")],
        f"goal {GOAL_S:g} s: {'met' if found['report'] < GOAL_S else 'MISSED'}",
        {"seconds": found, "ratio": ratio, "bytes": size, **every},
    )


def _write_hour(client: redis.Redis, people: int) -> None:
    """Faces that move a little and change their expression once a minute, in `FRAMES` frames, one a second."""
    random, keys = np.random.default_rng(1), begin(client, "l")
    client.hset(keys.info, mapping={"fps": 1, "width": 1280, "height": 720})
    for frame in range(FRAMES):
        with client.pipeline(transaction=False) as pipe:
            for person in range(people):
                shown = EMOTIONS[(person + frame // 60) % 7 if (person + frame // 60) % 3 == 0 else 6]
                share = float(random.uniform(0.5, 0.95))
                scores = {emotion: round(value, 4) for emotion, value in scores_of(shown, share).items()}
                x, y = (int(value) for value in random.integers(-3, 4, 2))
                box = (80 + 240 * (person % 5) + x, 20 + 140 * (person // 5 % 5) + y, 90, 90)
                event = EmotionEvent(
                    *("l", f"p{person + 1:02}", frame, float(frame), box, 0.9, shown, scores, scores, 0.1, 0.2),
                    *({"mobilenetv2": shown}, "m1"),
                )
                pipe.xadd(keys.participant(event.participant), {EVENT_FIELD: encode(event)})
            mean = scores_of("neutral", 0.6)
            pipe.xadd(
                keys.class_, {EVENT_FIELD: encode(ClassEvent("l", frame, float(frame), people, mean, 0.1, 0.2, "m1"))}
            )
            pipe.execute()
    for person in range(people):
        client.hset(keys.participants, f"p{person + 1:02}", encode(ParticipantSpan(0.0, FRAMES - 1.0, FRAMES)))
    client.hset(keys.info, mapping={"sampled": FRAMES, "published": FRAMES})
    end(client, "l")


def _seconds(core: int, *words: str) -> float:
    """The processor time of a Python program."""
    with on_cores([core]):
        running = subprocess.Popen([sys.executable, *words])
    _, status, used = os.wait4(running.pid, 0)
    if status:
        raise RuntimeError(f"{words} ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(benchmark)
