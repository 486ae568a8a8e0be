"""How long the report takes over 10,000 judged traces, and the way MLflow's documentation shows.

A real MLflow server with one process on an SQLite file. The documentation's way asks for each
trace by itself; it is measured on some of the traces and extrapolated to all of them. Each way
runs in a process of its own, so that its peak memory is its own. `python -m bench.report_speed`.
"""

import multiprocessing
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from app.clock import now_ms
from app.insights.assembly import Vocabulary
from app.insights.building import Insights
from app.store.database import Database
from app.store.filters import Filters
from app.tracing.links import Links
from app.tracing.tracking import TrackingServer
from bench.many_traces import REASONS, copy_traces, insert_turns, write_originals
from tests.servers import MlflowServer

TRACES = 10_000
SAMPLE = 300
RUNS = 12
WARM_UP = 3
HOURS = 24

EXPERIMENT = "bench"


@dataclass(frozen=True)
class Measured:
    """Seconds of each run, and the process's memory before and at its peak, in MB."""

    seconds: list[float]
    before_mb: float
    peak_mb: float


def measure_report(tracking_uri: str, database_url: str) -> Measured:
    """Make the report several times."""
    tracking = TrackingServer(tracking_uri, EXPERIMENT)
    vocabulary = Vocabulary(("accuracy", "helpfulness", "relevance"), {"down": REASONS})
    database = Database(database_url)
    insights = Insights(database, tracking, Links(tracking_uri, tracking), vocabulary)
    before_mb = _peak_mb()
    seconds = []
    for run in range(WARM_UP + RUNS):
        started = time.perf_counter()
        report = insights.report(Filters.last(HOURS, now_ms()))
        if run >= WARM_UP:
            seconds.append(time.perf_counter() - started)
        assert report.source == "mlflow", report.problems
        assert report.traces > TRACES * 0.95
        assert report.versions is not None
        assert len(report.versions) == 3
    database.close()
    return Measured(seconds, before_mb, _peak_mb())


def measure_documented_way(tracking_uri: str, trace_ids: list[str]) -> Measured:
    """Ask for one trace after the other, as MLflow's page does, and count its thumbs."""
    import mlflow

    client = mlflow.MlflowClient(tracking_uri)
    client.get_trace(trace_ids[0])
    before_mb = _peak_mb()
    positive = negative = 0
    started = time.perf_counter()
    for trace_id in trace_ids:
        for assessment in client.get_trace(trace_id).info.assessments:
            if assessment.name == "user_feedback":
                positive += assessment.value is True
                negative += assessment.value is False
    seconds = time.perf_counter() - started
    assert positive
    assert negative
    return Measured([seconds], before_mb, _peak_mb())


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _trace_ids(tracking: TrackingServer) -> list[str]:
    page = tracking.client.search_traces(
        locations=[tracking.experiment_id()], max_results=SAMPLE, include_spans=False
    )
    return [trace.info.trace_id for trace in page]


def main() -> None:
    """Fill, measure and print."""
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        server = MlflowServer(Path(folder) / "mlflow")
        database = Database(f"sqlite:///{folder}/app.db")
        try:
            server.start()
            tracking = TrackingServer(server.url, EXPERIMENT, timeout_s=60)
            end_ms = now_ms()
            start_ms = end_ms - HOURS * 3_600_000 + 600_000
            copy_traces(server.database, write_originals(tracking), TRACES, start_ms, end_ms)
            database.migrate()
            insert_turns(database, TRACES, start_ms, end_ms)
            with processes.Pool(1) as pool:
                ours = pool.apply(measure_report, (server.url, database.url))
            with processes.Pool(1) as pool:
                theirs = pool.apply(measure_documented_way, (server.url, _trace_ids(tracking)))
        finally:
            database.close()
            server.terminate()
    _print(ours, theirs)


def _print(ours: Measured, theirs: Measured) -> None:
    median = statistics.median(ours.seconds)
    a_trace = theirs.seconds[0] / SAMPLE
    print(f"report over {TRACES} traces, {RUNS} runs after {WARM_UP} to warm up")
    print(f"  median {median:.2f} s, slowest {max(ours.seconds):.2f} s")
    print(f"  memory of its process {ours.before_mb:.0f} MB, at most {ours.peak_mb:.0f} MB")
    print(f"one request a trace, measured on {SAMPLE} traces: {a_trace * 1000:.1f} ms each")
    print(f"  for {TRACES}, extrapolated: {a_trace * TRACES:.0f} s, not counting to list them")
    print(f"  that is {a_trace * TRACES / median:.0f} times as long as the report")


if __name__ == "__main__":
    main()
