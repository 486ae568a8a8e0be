"""What feedback may look like: the bodies and queries of the feedback routes, checked strictly.

A wrong value is answered with 422 naming the field, what was expected and what came.
"""

import math
import re
from functools import cache
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    create_model,
    model_validator,
)

from app.feedback import EXPECTED_RESPONSE, IMPLICIT, USER_FEEDBACK, USER_REASONS, TurnKey
from app.protocol import CLIENT_REQUEST_ID, TRACE_ID

LONGEST_TEXT = 5000
LONGEST_CORRECTION = 20_000
# Not far beyond it whole numbers are no longer exact in a browser, nor in MLflow.
LARGEST_NUMBER = 10**15
MOST_CATEGORIES = 20
# MLflow truncates longer metadata values without a word.
LONGEST_LABEL = 250
MOST_METADATA = 20

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def check_text(text: str) -> str:
    """Return `text`. Raises `ValueError` when it has control characters."""
    if _CONTROL.search(text):
        raise ValueError("expected text without control characters")
    return text


def _check_metadata_key(key: str) -> str:
    if key.startswith("mlflow."):
        # It makes links to runs, and more, of keys of its own.
        raise ValueError("expected a name that does not begin with `mlflow.`")
    return key


Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(check_text)]
Label = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_LABEL),
    AfterValidator(check_text),
]
MetadataKey = Annotated[Label, AfterValidator(_check_metadata_key)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/ -]{0,249}$")]
Stars = Annotated[int, Field(ge=1, le=5)]


def _check_value(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        # Compared first: an integer may be too large even to be asked whether it is finite.
        if abs(value) > LARGEST_NUMBER or not math.isfinite(value):
            raise ValueError("expected a number from -1e15 to 1e15")
        return value
    if isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT:
        return check_text(value)
    if (
        isinstance(value, list)
        and 0 < len(value) <= MOST_CATEGORIES
        and all(isinstance(word, str) and 0 < len(word) <= LONGEST_LABEL for word in value)
    ):
        return [check_text(word) for word in dict.fromkeys(value)]
    raise ValueError(
        f"expected a boolean, a number, text of 1-{LONGEST_TEXT} characters, or a list of "
        f"1-{MOST_CATEGORIES} strings of 1-{LONGEST_LABEL} characters"
    )


Value = Annotated[
    Any,
    BeforeValidator(_check_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "boolean"},
                {"type": "number", "minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER},
                {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT},
                {"type": "array", "items": {"type": "string"}, "maxItems": MOST_CATEGORIES},
            ]
        }
    ),
]


class Checked(BaseModel):
    """A model whose schema is made once: flask-openapi asks for it with every request."""

    @classmethod
    @cache
    def model_json_schema(cls, *options: Any, **more: Any) -> dict[str, Any]:  # type: ignore[override]
        """Pydantic's."""
        return super().model_json_schema(*options, **more)


class ChangeHeaders(Checked):
    """What may come with a change: a key under which it is made once, however often it arrives.

    See https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
    """

    idempotency_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = (
        Field(None, alias="Idempotency-Key")
    )


class TurnQuery(Checked):
    """Which turn: by `trace_id` or by `client_request_id`."""

    trace_id: Annotated[str, StringConstraints(pattern=f"^{TRACE_ID.pattern}$")] | None = None
    client_request_id: (
        Annotated[str, StringConstraints(pattern=f"^{CLIENT_REQUEST_ID.pattern}$")] | None
    ) = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.trace_id is None) == (self.client_request_id is None):
            raise ValueError("expected exactly one of trace_id and client_request_id")
        return self

    def key(self) -> TurnKey:
        """The turn's key."""
        return TurnKey(self.trace_id, self.client_request_id)


class NamedQuery(TurnQuery):
    """Which feedback of which turn."""

    name: Name = USER_FEEDBACK

    @model_validator(mode="after")
    def _by_a_person(self) -> Self:
        if self.name.startswith(IMPLICIT):
            raise ValueError("name: signals are the app's own and cannot be withdrawn")
        return self


class FeedbackBody(BaseModel):
    """A thumb (`is_correct`, `comment`), or any value under a `name`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    is_correct: bool | None = None
    comment: Text | None = None
    name: Name | None = None
    value: Value | None = None
    rationale: Text | None = None
    metadata: Annotated[dict[MetadataKey, Label], Field(max_length=MOST_METADATA)] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.is_correct is not None:
            if (self.name, self.value, self.rationale) != (None, None, None):
                raise ValueError("expected either is_correct and comment, or name and value")
            return self
        if self.name is None or self.value is None or self.comment is not None:
            raise ValueError("expected either is_correct and comment, or name and value")
        if self.name == EXPECTED_RESPONSE:
            raise ValueError("name: expected_response is given through /correction")
        if self.name.startswith(IMPLICIT) and (self.name, self.value) != ("implicit_copy", True):
            raise ValueError("name: of the implicit_ names, a client reports only implicit_copy")
        if self.name == USER_FEEDBACK and not isinstance(self.value, bool):
            raise ValueError("value: expected a boolean for user_feedback")
        if self.name == USER_REASONS and not isinstance(self.value, list):
            raise ValueError("value: expected a list of reasons for user_reasons")
        return self


class CorrectionBody(BaseModel):
    """What the answer should have been."""

    model_config = ConfigDict(strict=True, extra="forbid")

    expected_response: Annotated[
        str,
        StringConstraints(min_length=1, max_length=LONGEST_CORRECTION, strip_whitespace=True),
        AfterValidator(check_text),
    ]


def detailed_query(dimensions: tuple[str, ...]) -> type[TurnQuery]:
    """The query of `/detailed-feedback`: one to five stars for any of `dimensions`."""
    stars: dict[str, Any] = dict.fromkeys(dimensions, (Stars | None, None))
    return create_model(
        "DetailedQuery",
        __base__=TurnQuery,
        __config__=None,
        __doc__="Which turn, and its stars.",
        comment=(Text | None, None),
        **stars,
    )
