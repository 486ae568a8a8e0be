"""An MLflow experiment of one test's own, in which people ask and judge."""

from __future__ import annotations

import itertools
from typing import Any

from app.datasets import DatasetDesk
from app.tracing.datasets import EvaluationDatasets
from app.tracing.links import Links
from app.tracing.spans import Recorder
from app.tracing.traced_turns import TracedTurns
from app.tracing.tracking import TrackingServer, Verdict
from tests.mlflow_reader import MlflowReader
from tests.servers import MlflowServer

numbers = itertools.count()


class JudgedExperiment:
    """The experiment, the datasets made of it, and what MLflow's own client reads there."""

    def __init__(self, server: MlflowServer, recorder: Recorder, name: str) -> None:
        self.name = name
        self.tracking = TrackingServer(server.url, name, timeout_s=60)
        self.datasets = EvaluationDatasets(self.tracking)
        turns = TracedTurns(self.tracking)
        self.desk = DatasetDesk(self.datasets, turns, Links(server.url, self.tracking))
        self.reader = MlflowReader(server.url, name)
        self._recorder = recorder

    def ask(
        self, question: str, *, thumb: bool | None = None, correction: str | None = None
    ) -> str:
        """One answered question, judged if wanted; its trace ID."""
        trace = self._recorder.start_turn()
        messages = [
            {"role": "system", "content": f"Prompt {next(numbers)}."},
            {"role": "user", "content": question},
        ]
        trace.describe(f"req-{next(numbers)}", "ann", "c-1", messages)
        self.tracking.write_trace(trace.end("complete", "Because of the sea."))
        if thumb is not None:
            self.say(trace.trace_id, "user_feedback", thumb)
        if correction is not None:
            self.say(trace.trace_id, "expected_response", correction)
        return trace.trace_id

    def say(self, trace_id: str, name: str, value: Any) -> None:
        """Judge, or change the verdict of that name."""
        self.tracking.write_verdict(
            Verdict(
                assessment_id=f"a-{name}-{trace_id}",
                trace_id=trace_id,
                kind="expectation" if name == "expected_response" else "feedback",
                name=name,
                value=value,
                source_type="HUMAN",
                source_id="ann",
                rationale=None,
                metadata={},
            )
        )

    def withdraw(self, trace_id: str, name: str) -> None:
        """Take a verdict back."""
        self.tracking.withdraw(trace_id, f"a-{name}-{trace_id}")

    def expected(self, dataset: str) -> dict[str, str | None]:
        """What each question of a dataset is expected to be answered with, read by MLflow."""
        [found] = [
            one
            for one in self.reader.client.search_datasets([self.reader.experiment_id])
            if one.name == dataset
        ]
        return {
            one.inputs["messages"][-1]["content"]: (one.expectations or {}).get("expected_response")
            for one in found.records
        }
