"""Lifetimes of values in Redis, and the seconds for which producers and Redis may be silent. Pure."""

FRAMES_TTL_S = 600
"""Seconds that pixels may wait in Redis. A live feeder renews this; when it dies they expire by themselves."""

RETENTION_S = 30 * 24 * 3600
"""Default number of seconds that a lecture's results are kept after their last change."""

FEEDER_TTL_S = 30
"""Seconds that a feeder's heartbeat lasts. Two missed renewals do not end it."""

OUTAGE_S = 120.0
"""Seconds without Redis after which a program gives up. A restart or a failover takes less."""

ABANDONED_S = 150.0
"""Seconds after the feeder's last heartbeat until workers end a lecture as stopped, once all its fed chunks are
committed. It is longer than OUTAGE_S, so that a producer that loses Redis and comes back in time finds its lecture
running."""

ARCHIVED_S = 3600
"""Seconds that the streams of an archived lecture stay in Redis, for subscribers that catch up."""

RESUME_S = 24 * 3600
"""Seconds during which a lecture that was stopped or failed can be resumed: `LectureKeys.state` is kept."""
