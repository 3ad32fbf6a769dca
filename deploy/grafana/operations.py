"""Operations: are we keeping up, where does the time go, what is lost, what is dying."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana import panels
from deploy.grafana.panels import AMBER, GREEN, HALF, QUARTER, RED, THIRD, Line, chart, number

# What of Redis is told by every worker host is one and the same, so that the greatest of them is right; a host that
# cannot reach Redis tells nothing. What processes count themselves is added up.


def board() -> Dashboard:
    """What an operator looks at first."""
    into = panels.board("LecturePulse: Operations", "lecturepulse-operations", __doc__ or "")
    for part in (_keeping_up, _time, _lost, _dying):
        part(into)
    return into.build()


def _rate(metric: str) -> str:
    return f"rate({metric}[$__rate_interval])"


def _quantile(q: float, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) ({_rate(f'{metric}_bucket')}))"


def _lectures(metric: str) -> str:
    """A counter that every worker host tells for every running lecture, as one rate."""
    return f"sum(max by (lecture) ({_rate(metric)})) or vector(0)"


def _mean(metric: str, by: str) -> str:
    return f"sum by ({by}) ({_rate(f'{metric}_sum')}) / sum by ({by}) ({_rate(f'{metric}_count')})"


def _keeping_up(into: dashboard.Dashboard) -> None:
    into.with_row(dashboard.Row("Are we keeping up?"))
    for figure in (
        number(
            "Oldest chunk waits",
            "How long the oldest chunk in the queue has waited. A recording waits without harm; frames expire after "
            "ten minutes if their producer is gone.",
            "max(lecturepulse_queue_oldest_seconds)",
            "s",
            [(60, AMBER), (180, RED)],
        ),
        number(
            "Chunks waiting",
            "Length of the queue: up to 8 s of a recording, or 1 s of a live source, each.",
            "max(lecturepulse_queue_chunks)",
            steps=[(100, AMBER)],
        ),
        number(
            "Worker processes",
            "Over all hosts.",
            "sum(lecturepulse_worker_processes) or vector(0)",
            steps=[(1, GREEN)],
            below=RED,
        ),
        number("Lectures running", "Fed now, or with frames in flight.", "max(lecturepulse_lectures_running)"),
        number(
            "Latency, 95 %",
            "From taking the oldest frame of a chunk to its commit.",
            _quantile(0.95, "lecturepulse_latency_seconds"),
            "s",
            [(1, AMBER), (10, RED)],
        ),
        number(
            "Redis",
            "1: every worker host reaches it.",
            "min(lecturepulse_redis_up)",
            steps=[(1, GREEN)],
            below=RED,
        ),
    ):
        into.with_panel(figure)
    for panel in (
        chart(
            "Frames a second",
            "Sampled by all running lectures, and published by all workers. Where the lines part, work piles up.",
            Line(_lectures("lecturepulse_lecture_frames_sampled_total"), "sampled"),
            Line(f"sum({_rate('lecturepulse_frames_published_total')})", "published"),
        ),
        chart(
            "Frames in flight and chunks waiting",
            "In flight: fed and not yet committed.",
            Line("max(lecturepulse_all_in_flight_frames)", "frames in flight"),
            Line("max(lecturepulse_queue_chunks)", "chunks waiting"),
        ),
        chart(
            "Latency",
            "From taking the oldest frame of a chunk, by the producer's clock, to its commit.",
            Line(_quantile(0.5, "lecturepulse_latency_seconds"), "median"),
            Line(_quantile(0.95, "lecturepulse_latency_seconds"), "95 %"),
            unit="s",
        ),
        chart(
            "Busy",
            "Share of the worker processes' time that is spent in jobs. Near 1: add workers.",
            Line(
                f"sum({_rate('lecturepulse_job_seconds_sum')}) / sum(lecturepulse_worker_processes)",
                "busy",
            ),
            unit="percentunit",
            highest=1,
        ),
        chart(
            "Faces a second",
            "Found and read, by worker host.",
            Line(f"sum by (instance) ({_rate('lecturepulse_faces_total')})", "{{instance}}"),
            stacked=True,
        ),
        chart(
            "Bytes in flight",
            "JPEG bytes of all running lectures that wait in Redis or are being worked on, and those fed a second by "
            "producers that are scraped.",
            Line("max(lecturepulse_all_in_flight_bytes)", "in flight"),
            Line(f"sum({_rate('lecturepulse_fed_bytes_total')}) or vector(0)", "fed a second"),
            unit="bytes",
        ),
    ):
        into.with_panel(panel)


def _time(into: dashboard.Dashboard) -> None:
    into.with_row(dashboard.Row("Where does the time go?"))
    for panel in (
        chart(
            "Steps of a job",
            "Seconds of work a second, all workers, by step.",
            Line(f"sum by (step) ({_rate('lecturepulse_step_seconds_sum')})", "{{step}}"),
            unit="s",
            stacked=True,
            span=HALF,
        ),
        chart(
            "Steps, 95 %",
            "Of one chunk.",
            Line(_quantile(0.95, "lecturepulse_step_seconds", by="step"), "{{step}}"),
            unit="s",
            span=HALF,
        ),
        chart(
            "Networks",
            "Mean time of one network for one chunk's faces.",
            Line(_mean("lecturepulse_inference_seconds", by="model"), "{{model}}"),
            unit="s",
            span=QUARTER,
        ),
        chart(
            "Jobs",
            "Of one chunk, from fetch to commit.",
            Line(_quantile(0.5, "lecturepulse_job_seconds"), "median"),
            Line(_quantile(0.95, "lecturepulse_job_seconds"), "95 %"),
            unit="s",
            span=QUARTER,
        ),
        chart(
            "Escalated faces",
            "Share of the faces that all networks read because the first was not sure (adaptive ensemble; 0 with the "
            "full one).",
            Line(f"sum({_rate('lecturepulse_escalations_total')}) / sum({_rate('lecturepulse_faces_total')})", "share"),
            unit="percentunit",
            span=QUARTER,
            highest=1,
        ),
        chart(
            "Producers",
            "Waiting: seconds a second without room among the frames in flight. Push: to hand one chunk to Redis. "
            "Only of producers that are scraped.",
            Line(f"sum({_rate('lecturepulse_feed_waiting_seconds_total')}) or vector(0)", "waiting"),
            Line(f"{_quantile(0.95, 'lecturepulse_push_seconds')} or vector(0)", "push, 95 %"),
            unit="s",
            span=QUARTER,
        ),
    ):
        into.with_panel(panel)


def _lost(into: dashboard.Dashboard) -> None:
    into.with_row(dashboard.Row("What is lost?"))
    for panel in (
        chart(
            "Frames lost",
            "Dropped: a live source outran the workers. Failed: their job did, after its retries. Of all running "
            "lectures, a second.",
            Line(_lectures("lecturepulse_lecture_frames_dropped_total"), "dropped"),
            Line(_lectures("lecturepulse_lecture_frames_failed_total"), "failed"),
            span=THIRD,
        ),
        chart(
            "Failed, by reason",
            "A second, as workers count them.",
            Line(f"sum by (reason) ({_rate('lecturepulse_frames_failed_total')}) or vector(0)", "{{reason}}"),
            span=THIRD,
        ),
        chart(
            "Dropped, by reason",
            "A second, as producers that are scraped count them.",
            Line(f"sum by (reason) ({_rate('lecturepulse_frames_dropped_total')}) or vector(0)", "{{reason}}"),
            span=THIRD,
        ),
        chart(
            "Jobs tried again",
            "By reason, a second.",
            Line(f"sum by (reason) ({_rate('lecturepulse_job_retries_total')}) or vector(0)", "{{reason}}"),
            span=THIRD,
        ),
        chart(
            "Commits tried again",
            "A second: another worker committed the same lecture first. Normal with several workers.",
            Line(f"sum({_rate('lecturepulse_commit_conflicts_total')})", "conflicts"),
            span=THIRD,
        ),
        chart(
            "Strangers' jobs refused",
            "A second, by reason. Anything but 0: somebody else writes into this Redis.",
            Line(f"sum by (reason) ({_rate('lecturepulse_jobs_refused_total')}) or vector(0)", "{{reason}}"),
            span=THIRD,
        ),
    ):
        into.with_panel(panel)


def _dying(into: dashboard.Dashboard) -> None:
    into.with_row(dashboard.Row("What is dying?"))
    for panel in (
        chart(
            "Worker processes",
            "By host.",
            Line("sum by (instance) (lecturepulse_worker_processes)", "{{instance}}"),
            stacked=True,
            span=QUARTER,
        ),
        chart(
            "Restarts",
            "Worker processes that died and were replaced, in ten minutes.",
            Line("sum by (instance) (increase(lecturepulse_worker_restarts_total[10m]))", "{{instance}}"),
            span=QUARTER,
        ),
        chart(
            "Redis memory",
            "Full at its limit: frames are then refused and producers wait. No limit is told as 0.",
            Line("max(lecturepulse_redis_memory_bytes)", "used"),
            Line("max(lecturepulse_redis_memory_limit_bytes)", "limit"),
            unit="bytes",
            span=QUARTER,
        ),
        chart(
            "Scraped",
            "1: Prometheus reaches it.",
            Line('min by (job, instance) (up{job=~".*lecturepulse.*"})', "{{job}} {{instance}}"),
            span=QUARTER,
            highest=1,
        ),
        chart(
            "Sources connected",
            "1 while the source is there, by producer that is scraped.",
            Line("max by (instance) (lecturepulse_source_connected)", "{{instance}}"),
            span=THIRD,
            highest=1,
        ),
        chart(
            "Sources reconnected",
            "Connections to live sources after the first, in ten minutes.",
            Line("sum by (instance) (increase(lecturepulse_source_reconnects_total[10m]))", "{{instance}}"),
            span=THIRD,
        ),
        chart(
            "Silence of lectures",
            "Seconds since a running lecture's newest event.",
            Line("max by (lecture) (lecturepulse_lecture_source_age_seconds)", "{{lecture}}"),
            unit="s",
            span=THIRD,
        ),
    ):
        into.with_panel(panel)
