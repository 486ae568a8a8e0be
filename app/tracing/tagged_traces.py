"""Finds and deletes the traces that carry a tag."""

from collections.abc import Callable

from app.tracing.failures import explained
from app.tracing.tracking import TrackingServer

# As many as MLflow deletes in one request.
_BATCH = 100


def delete_tagged(
    tracking: TrackingServer, experiment: str, tag: str, show: Callable[[int, int], None]
) -> int:
    """Delete every trace of an experiment that has this tag; returns how many there were.

    `show` is told how many are gone, and how many have been found. Raises `NotDelivered`.
    """
    store = tracking.client.store
    with explained():
        known = store.get_experiment_by_name(experiment)
        if known is None:
            return 0
        trace_ids: list[str] = []
        token: str | None = None
        while True:
            page = tracking.client.search_traces(
                locations=[known.experiment_id],
                filter_string=f"tag.`{tag}` = 'true'",
                max_results=500,
                include_spans=False,
                page_token=token,
            )
            trace_ids += [trace.info.trace_id for trace in page]
            token = page.token
            if not token:
                break
        for start in range(0, len(trace_ids), _BATCH):
            batch = trace_ids[start : start + _BATCH]
            store.delete_traces(experiment_id=known.experiment_id, trace_ids=batch)
            show(start + len(batch), len(trace_ids))
    return len(trace_ids)
