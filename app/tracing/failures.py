"""What a failed request to MLflow means: a refusal, a failure over one write, or no answer."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException, RestException

from app.setting_types import without_password
from app.tracing.span_batches import BatchFailed

# Answers that say nothing about the write: other credentials, a pause or a restart are wanted.
_PASSING = {401, 403, 407, 408, 425, 429, 502, 503, 504}


class NotDelivered(Exception):
    """The tracking server did not keep a write.

    `refused`: it said no, so repeating the same write would be in vain.
    `unreachable`: it has said nothing about this write, so others may fare no better now.
    """

    def __init__(self, reason: str, *, refused: bool = False, unreachable: bool = False) -> None:
        # MLflow's client quotes the address it asked, which may bear a password.
        super().__init__(without_password(reason)[:2000])
        self.refused = refused
        self.unreachable = unreachable

    @property
    def in_short(self) -> str:
        """What is said in logs: MLflow's own words may quote people."""
        if self.refused:
            return "it was refused"
        return "no answer came" if self.unreachable else "it failed"


@contextmanager
def explained() -> Iterator[None]:
    """Turn whatever MLflow's client raises into `NotDelivered`.

    MLflow's own 4xx is a refusal, except those that pass with time or with better credentials. Of
    what is not MLflow's own, a proxy's page say, only 413 is: the write stays as large as it is.
    """
    try:
        yield
    except NotDelivered:
        raise
    except MlflowException as error:
        status = _status(error)
        passes = status in _PASSING or (status == 404 and not is_missing(error))
        if status is None or passes:
            raise NotDelivered(str(error), unreachable=True) from error
        refused = status == 413 or (_is_mlflows(error) and 400 <= status < 500)
        raise NotDelivered(f"{status}: {error.message}", refused=refused) from error
    except BatchFailed as error:
        raise NotDelivered(str(error)) from error
    except Exception as error:
        raise NotDelivered(f"{type(error).__name__}: {error}", unreachable=True) from error


def is_missing(error: MlflowException) -> bool:
    """Whether MLflow itself says that it has no such thing: a proxy's 404 says nothing of it."""
    return _is_mlflows(error) and _status(error) == 404


def _is_mlflows(error: MlflowException) -> bool:
    """Whether MLflow itself has said that: a proxy's JSON has no error code of MLflow's."""
    return isinstance(error, RestException) and "error_code" in error.json


def _status(error: MlflowException) -> int | None:
    """The HTTP status of the answer, or None when there was none, or none that is known."""
    if isinstance(error, RestException):
        if not _is_mlflows(error):
            return None
        return int(error.get_http_status_code())  # type: ignore[no-untyped-call]
    # No JSON, or a status after which MLflow's client throws the answer away: its text has it.
    said = re.search(r"failed with error code (\d{3})|too many (\d{3}) error", error.message)
    return int(said[1] or said[2]) if said else None
