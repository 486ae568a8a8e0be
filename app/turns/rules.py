"""What is the same for every turn of a process."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnRules:
    """What every turn gets: its system prompt, its context, and its time in seconds.

    An answer ends at `most_answer_chars`, as by the model's own limit. `app_version` and `model`
    say what answers, so that they can be compared. With `implicit_signals`, asking again is noted
    as feedback on the answer it replaces.
    """

    system_prompt: str
    history_turns: int
    timeout_s: float
    most_answer_chars: int
    implicit_signals: bool = True
    app_version: str | None = None
    model: str | None = None
