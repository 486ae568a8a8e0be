"""Where people open things in MLflow's UI."""

from dataclasses import dataclass

from app.tracing.tracking import TrackingServer


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses in the MLflow UI at `ui_url`. Each may raise `NotDelivered` the first time."""

    ui_url: str
    tracking: TrackingServer

    def trace(self, trace_id: str) -> str:
        """One trace, with its spans and assessments."""
        return f"{self._experiment()}/traces/{trace_id}"

    def dataset(self, dataset_id: str) -> str:
        """One evaluation dataset."""
        return f"{self._experiment()}/datasets/{dataset_id}"

    def review_queue(self) -> str:
        """The review queues."""
        return f"{self._experiment()}/review-queue"

    def evaluation(self, experiment_id: str, run_id: str) -> str:
        """One evaluation run, answer by answer."""
        return f"{self.ui_url}/#/experiments/{experiment_id}/runs/{run_id}/evaluations"

    def _experiment(self) -> str:
        return f"{self.ui_url}/#/experiments/{self.tracking.experiment_id()}"
