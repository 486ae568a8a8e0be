"""Where people open things in MLflow's UI."""

from dataclasses import dataclass
from urllib.parse import quote

from app.tracing.tracking import TrackingServer


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses in the MLflow UI at `ui_url`. Each may raise `NotDelivered` the first time.

    IDs are quoted whole: whatever they are, the address stays in the UI and at its place there.
    """

    ui_url: str
    tracking: TrackingServer

    def trace(self, trace_id: str) -> str:
        """One trace, with its spans and assessments."""
        return f"{self._experiment()}/traces/{_part(trace_id)}"

    def dataset(self, dataset_id: str) -> str:
        """One evaluation dataset."""
        return f"{self._experiment()}/datasets/{_part(dataset_id)}"

    def review_queue(self) -> str:
        """The review queues."""
        return f"{self._experiment()}/review-queue"

    def evaluation(self, experiment_id: str, run_id: str) -> str:
        """One evaluation run, answer by answer."""
        runs = f"{self.ui_url}/#/experiments/{_part(experiment_id)}/runs"
        return f"{runs}/{_part(run_id)}/evaluations"

    def _experiment(self) -> str:
        return f"{self.ui_url}/#/experiments/{_part(self.tracking.experiment_id())}"


def _part(id_: str) -> str:
    return quote(id_, safe="")
