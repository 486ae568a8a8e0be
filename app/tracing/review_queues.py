"""MLflow's own review queue for answers that people found wrong.

Asked over the server's routes, as the light package has no `mlflow.genai`. A queue belongs to an
experiment; its questions are label schemas, and ours asks for the expected response, so that a
reviewer's answer lands on the trace as any other correction does.
See https://mlflow.org/docs/latest/genai/assessments/review-queues/
"""

from typing import Any

from mlflow.utils.rest_utils import http_request_safe

from app.tracing.failures import explained
from app.tracing.tracking import TrackingServer

QUEUE = "Thumbs down"
QUESTION = "expected_response"
_PAGE = 500


class ReviewQueue:
    """The queue of our experiment. Every method raises `NotDelivered`."""

    def __init__(self, tracking: TrackingServer) -> None:
        self._tracking = tracking

    def add(self, trace_id: str) -> None:
        """Put a trace into the queue, which is made if need be; again changes nothing.

        The server refuses a trace that is not in our experiment.
        """
        queue_id = self._find() or self._create()
        wanted = {"queue_id": queue_id, "item_type": "TRACE", "item_ids": [trace_id]}
        self._call("POST", "review-queues/items/add", wanted)

    def states(self) -> dict[str, str]:
        """Each trace of the queue: `pending`, `complete` or `declined`."""
        queue_id = self._find()
        states: dict[str, str] = {}
        page: dict[str, Any] = {"queue_id": queue_id, "max_results": _PAGE}
        while queue_id:
            found = self._call("GET", "review-queues/items/list", page)
            for item in found.get("items", ()):
                states[item["item_id"]] = item["status"].lower()
            if not found.get("next_page_token"):
                break
            page["page_token"] = found["next_page_token"]
        return states

    def _find(self) -> str | None:
        return self._by_name("review-queues/list", "review_queues", QUEUE, "queue_id")

    def _create(self) -> str:
        schema_id = self._by_name("label-schemas/list", "label_schemas", QUESTION, "schema_id")
        body = {
            "experiment_id": self._tracking.experiment_id(),
            "name": QUEUE,
            "queue_type": "CUSTOM",
            "schema_ids": [schema_id or self._create_question()],
        }
        made = self._call("POST", "review-queues/create", body)
        return str(made["review_queue"]["queue_id"])

    def _create_question(self) -> str:
        body = {
            "experiment_id": self._tracking.experiment_id(),
            "name": QUESTION,
            "type": "EXPECTATION",
            "instruction": "What should the answer have been?",
            "input": {"text": {}},
            "enable_comment": True,
        }
        made = self._call("POST", "label-schemas/create", body)
        return str(made["label_schema"]["schema_id"])

    def _by_name(self, route: str, listed: str, name: str, id_: str) -> str | None:
        page = {"experiment_id": self._tracking.experiment_id(), "max_results": "100"}
        while True:
            found = self._call("GET", route, page)
            for one in found.get(listed, ()):
                if one["name"] == name:
                    return str(one[id_])
            if not found.get("next_page_token"):
                return None
            page["page_token"] = found["next_page_token"]

    def _call(self, method: str, route: str, body: dict[str, Any]) -> dict[str, Any]:
        sent = {"params": body} if method == "GET" else {"json": body}
        with explained():
            answer = http_request_safe(  # type: ignore[no-untyped-call]
                self._tracking.client.store.get_host_creds(),
                f"/api/3.0/mlflow/{route}",
                method,
                **sent,
            )
            found: dict[str, Any] = answer.json()
            return found
