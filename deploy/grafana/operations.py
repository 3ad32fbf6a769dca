"""Operations: whether the workers keep up, where the time goes, what is lost, and which processes die."""

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana import panels
from deploy.grafana.panels import AMBER, GREEN, HALF, QUARTER, RED, THIRD, Line, chart, number

# Every worker host that reaches Redis reports the same values about it: take the maximum. Each process counts its own
# work: take the sum.


def board() -> Dashboard:
    """The dashboard that an operator opens first."""
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
    """The rate of a counter that every worker host reports for every running lecture."""
    return f"sum(max by (lecture) ({_rate(metric)})) or vector(0)"


def _mean(metric: str, by: str) -> str:
    return f"sum by ({by}) ({_rate(f'{metric}_sum')}) / sum by ({by}) ({_rate(f'{metric}_count')})"


def _keeping_up(into: dashboard.Dashboard) -> None:
    into.with_row(dashboard.Row("Do the workers keep up?"))
    for figure in (
        number(
            "Oldest chunk waits",
            "Waiting time of the oldest chunk in the queue. A recording waits without harm. Frames expire after ten "
            "minutes if their producer is gone.",
            "max(lecturepulse_queue_oldest_seconds)",
            "s",
            [(60, AMBER), (180, RED)],
        ),
        number(
            "Chunks waiting",
            "Length of the queue. A chunk has up to 8 s of a recording, or 1 s of a live source.",
            "max(lecturepulse_queue_chunks)",
            steps=[(100, AMBER)],
        ),
        number(
            "Worker processes",
            "On all hosts.",
            "sum(lecturepulse_worker_processes) or vector(0)",
            steps=[(1, GREEN)],
            below=RED,
        ),
        number(
            "Lectures running",
            "With a producer or with frames in flight.",
            "max(lecturepulse_lectures_running)",
        ),
        number(
            "Latency, 95 %",
            "Time from the oldest frame of a chunk to its commit.",
            _quantile(0.95, "lecturepulse_latency_seconds"),
            "s",
            [(1, AMBER), (10, RED)],
        ),
        number(
            "Redis",
            "1: every worker host reaches Redis.",
            "min(lecturepulse_redis_up)",
            steps=[(1, GREEN)],
            below=RED,
        ),
    ):
        into.with_panel(figure)
    for panel in (
        chart(
            "Frames per second",
            "Sampled by all running lectures, and published by all workers. If published is lower, work piles up.",
            Line(_lectures("lecturepulse_lecture_frames_sampled_total"), "sampled"),
            Line(f"sum({_rate('lecturepulse_frames_published_total')})", "published"),
        ),
        chart(
            "Frames in flight and chunks waiting",
            "In flight: frames that were fed and are not committed.",
            Line("max(lecturepulse_all_in_flight_frames)", "frames in flight"),
            Line("max(lecturepulse_queue_chunks)", "chunks waiting"),
        ),
        chart(
            "Latency",
            "Time from the oldest frame of a chunk, by the producer's clock, to its commit.",
            Line(_quantile(0.5, "lecturepulse_latency_seconds"), "median"),
            Line(_quantile(0.95, "lecturepulse_latency_seconds"), "95 %"),
            unit="s",
        ),
        chart(
            "Busy",
            "Share of the worker processes' time spent in jobs. If it is near 1, add workers.",
            Line(
                f"sum({_rate('lecturepulse_job_seconds_sum')}) / sum(lecturepulse_worker_processes)",
                "busy",
            ),
            unit="percentunit",
            highest=1,
        ),
        chart(
            "Faces per second",
            "Faces found, by worker host.",
            Line(f"sum by (instance) ({_rate('lecturepulse_faces_total')})", "{{instance}}"),
            stacked=True,
        ),
        chart(
            "Faces that cannot be read",
            "Share of the faces found that get no expression, by reason.",
            Line(
                f"sum by (reason) ({_rate('lecturepulse_faces_unreadable_total')}) / "
                f"scalar(sum({_rate('lecturepulse_faces_total')}))",
                "{{reason}}",
            ),
            unit="percentunit",
            stacked=True,
            highest=1,
        ),
        chart(
            "Bytes in flight",
            "JPEG bytes in flight of all running lectures, and JPEG bytes fed per second by the producers that are "
            "scraped.",
            Line("max(lecturepulse_all_in_flight_bytes)", "in flight"),
            Line(f"sum({_rate('lecturepulse_fed_bytes_total')}) or vector(0)", "fed per second"),
            unit="bytes",
        ),
    ):
        into.with_panel(panel)


def _time(into: dashboard.Dashboard) -> None:
    into.with_row(dashboard.Row("Where does the time go?"))
    for panel in (
        chart(
            "Steps of a job",
            "Seconds of work per second of all workers, by step of the job.",
            Line(f"sum by (step) ({_rate('lecturepulse_step_seconds_sum')})", "{{step}}"),
            unit="s",
            stacked=True,
            span=HALF,
        ),
        chart(
            "Steps, 95 %",
            "Time of each step for one chunk.",
            Line(_quantile(0.95, "lecturepulse_step_seconds", by="step"), "{{step}}"),
            unit="s",
            span=HALF,
        ),
        chart(
            "Networks",
            "Mean time of each network for the faces of one chunk.",
            Line(_mean("lecturepulse_inference_seconds", by="model"), "{{model}}"),
            unit="s",
            span=QUARTER,
        ),
        chart(
            "Jobs",
            "Time of one chunk's job, from fetch to commit.",
            Line(_quantile(0.5, "lecturepulse_job_seconds"), "median"),
            Line(_quantile(0.95, "lecturepulse_job_seconds"), "95 %"),
            unit="s",
            span=QUARTER,
        ),
        chart(
            "Escalated faces",
            "Share of the faces about which more networks were asked, as the first one was not certain (adaptive "
            "ensemble; 0 with the full one).",
            Line(f"sum({_rate('lecturepulse_escalations_total')}) / sum({_rate('lecturepulse_faces_total')})", "share"),
            unit="percentunit",
            span=QUARTER,
            highest=1,
        ),
        chart(
            "Producers",
            "Waiting: seconds per second in which a producer had no room for more frames in flight. Push: time to "
            "write one chunk to Redis. Only producers that are scraped.",
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
            "Frames per second of all running lectures. Dropped: a live source was faster than the workers. Failed: "
            "the job failed after its retries.",
            Line(_lectures("lecturepulse_lecture_frames_dropped_total"), "dropped"),
            Line(_lectures("lecturepulse_lecture_frames_failed_total"), "failed"),
            span=THIRD,
        ),
        chart(
            "Failed, by reason",
            "Frames per second, counted by the workers.",
            Line(f"sum by (reason) ({_rate('lecturepulse_frames_failed_total')}) or vector(0)", "{{reason}}"),
            span=THIRD,
        ),
        chart(
            "Dropped, by reason",
            "Frames per second, counted by the producers that are scraped.",
            Line(f"sum by (reason) ({_rate('lecturepulse_frames_dropped_total')}) or vector(0)", "{{reason}}"),
            span=THIRD,
        ),
        chart(
            "Job retries",
            "Jobs per second that went back into the queue, by reason.",
            Line(f"sum by (reason) ({_rate('lecturepulse_job_retries_total')}) or vector(0)", "{{reason}}"),
            span=THIRD,
        ),
        chart(
            "Commit conflicts",
            "Commits per second that another worker overtook. Normal with several workers.",
            Line(f"sum({_rate('lecturepulse_commit_conflicts_total')})", "conflicts"),
            span=THIRD,
        ),
        chart(
            "Strangers' jobs discarded",
            "Jobs per second, by reason. If it is not 0, another program writes to this Redis.",
            Line(f"sum by (reason) ({_rate('lecturepulse_jobs_refused_total')}) or vector(0)", "{{reason}}"),
            span=THIRD,
        ),
    ):
        into.with_panel(panel)


def _dying(into: dashboard.Dashboard) -> None:
    into.with_row(dashboard.Row("Which processes die?"))
    for panel in (
        chart(
            "Worker processes, by host",
            "Worker processes that run on each host.",
            Line("sum by (instance) (lecturepulse_worker_processes)", "{{instance}}"),
            stacked=True,
            span=QUARTER,
        ),
        chart(
            "Restarts",
            "Worker processes that died and were replaced, in the last ten minutes.",
            Line("sum by (instance) (increase(lecturepulse_worker_restarts_total[10m]))", "{{instance}}"),
            span=QUARTER,
        ),
        chart(
            "Redis memory",
            "At its limit Redis refuses frames, and producers wait. A Redis without a limit shows 0.",
            Line("max(lecturepulse_redis_memory_bytes)", "used"),
            Line("max(lecturepulse_redis_memory_limit_bytes)", "limit"),
            unit="bytes",
            span=QUARTER,
        ),
        chart(
            "Scraped",
            "1: Prometheus reaches this target.",
            Line('min by (job, instance) (up{job=~".*lecturepulse.*"})', "{{job}} {{instance}}"),
            span=QUARTER,
            highest=1,
        ),
        chart(
            "Sources connected",
            "1 while the source sends. Only producers that are scraped.",
            Line("max by (instance) (lecturepulse_source_connected)", "{{instance}}"),
            span=THIRD,
            highest=1,
        ),
        chart(
            "Sources reconnected",
            "Reconnections to live sources in the last ten minutes.",
            Line("sum by (instance) (increase(lecturepulse_source_reconnects_total[10m]))", "{{instance}}"),
            span=THIRD,
        ),
        chart(
            "Silence of lectures",
            "Seconds since the newest event of each running lecture.",
            Line("max by (lecture) (lecturepulse_lecture_source_age_seconds)", "{{lecture}}"),
            unit="s",
            span=THIRD,
        ),
    ):
        into.with_panel(panel)
