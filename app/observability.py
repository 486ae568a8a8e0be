"""Logs: text on standard error."""

import logging

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logging() -> None:
    """Send the log of this process to standard error."""
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    # One line a request to the model and to MLflow says nothing that the trace does not.
    for chatty in ("httpx", "httpx2", "httpcore2", "alembic.runtime", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
