"""What a producer counts and times. Every metric at a producer's `/metrics` is defined here."""

from prometheus_client import Counter, Gauge, Histogram

from worker.contract.reasons import DROPS

PREFIX = "lecturepulse"

FRAMES_SAMPLED = Counter("frames_sampled", "Frames sampled from the source.", namespace=PREFIX)
FRAMES_DROPPED = Counter("frames_dropped", "Frames of a live source that were dropped.", ["reason"], namespace=PREFIX)
BYTES_FED = Counter("fed_bytes", "JPEG bytes pushed to the workers.", namespace=PREFIX)
IN_FLIGHT_BYTES = Gauge("in_flight_bytes", "JPEG bytes pushed to the workers and not yet committed.", namespace=PREFIX)
SOURCE_RECONNECTS = Counter("source_reconnects", "Connections to a live source after the first.", namespace=PREFIX)
DECODER_RESTARTS = Counter(
    "decoder_restarts", "Decoders of recordings started again after their death.", namespace=PREFIX
)
SOURCE_CONNECTED = Gauge("source_connected", "1 while the source is connected, 0 while it is lost.", namespace=PREFIX)
SOURCE_CONNECTED.set(1)  # before its first picture it is not lost: a sender may be awaited
WAITING_SECONDS = Counter(
    "feed_waiting_seconds", "Time spent waiting for room among the frames in flight.", namespace=PREFIX
)
PUSH_SECONDS = Histogram(
    "push_seconds",
    "Time to push one chunk to Redis.",
    namespace=PREFIX,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)

# Each series starts at 0. Prometheus sees no increase in a series that first appears with a count of 1.
for _reason in DROPS:
    FRAMES_DROPPED.labels(_reason)
