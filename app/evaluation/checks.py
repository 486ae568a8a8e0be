"""What is checked of an answer without a second model, and when it passes.

An answer can pass only where somebody wrote what it should have been: no rule can tell whether an
answer to anything else is right. Without such a correction it is `unchecked`, unless the model gave
no answer or refused, which is `failed` everywhere.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

Status = Literal["passed", "failed", "unchecked"]

# An answer that shares half its words with the correction, both ways, is close to it.
SIMILAR_ENOUGH = 0.5
# A refusal begins with it, after an apology at most; further on, "I cannot" may be about anything.
_BEGINNING = 200
_REFUSAL = re.compile(
    r"((i'm|i am|we're|we are)? ?(very |so |really )?(sorry|afraid)[^.!?]{0,40}?"
    r"|(i|we) apologi[sz]e[^.!?]{0,60}?|(my |our )?apologies[^.!?]{0,40}?|unfortunately"
    r"|thanks?( you)?( for [^.!?,]{0,60})?)?[,.!:;\u2014-]{0,2} ?(but |that |however,? )?"
    r"\b((i|we)('m| am| are)? ?(can ?not|can't|won't|will not|unable to|not able to)\b|as an ai\b)"
)
# Words; scripts without spaces count by the character.
_WORDS = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of one answer. What needs a correction is None without one."""

    status: Status
    why: str
    words: int
    refused: bool
    contains: bool | None = None
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said: whether the answer is right, and why. `right` is None when it failed."""

    right: bool | None
    why: str


def check(
    answer: str | None,
    expected: str | None,
    verdict: Verdict | None = None,
    similar_enough: float = SIMILAR_ENOUGH,
) -> Checked:
    """Check an answer (None: the model failed) against the correction, if there is one.

    With a correction it passes when the judge says that it is right or, without a judge, when it
    contains the correction or is similar enough. What looks like a refusal fails, unless the judge
    says that it is right, or it contains the correction, or that is one too.
    """
    answer = (answer or "").strip()
    words = _words(answer)
    if not words:
        return Checked("failed", "no answer", 0, refused=False)
    refused = is_refusal(answer)
    if expected is None:
        if refused:
            return Checked("failed", "refused", len(words), refused)
        return Checked("unchecked", "nobody wrote what the answer should be", len(words), refused)
    contains, similarity = contains_text(answer, expected), token_f1(answer, expected)
    status, why = _decide(
        refused=refused and not contains and not is_refusal(expected),
        close=contains or similarity >= similar_enough,
        verdict=verdict,
    )
    return Checked(status, why, len(words), refused, contains, similarity)


def _decide(*, refused: bool, close: bool, verdict: Verdict | None) -> tuple[Status, str]:
    if refused and not (verdict and verdict.right):
        return "failed", "refused"
    if verdict is None:
        return ("passed", "like the correction") if close else ("failed", "unlike the correction")
    if verdict.right is None:
        return "failed", f"the judge failed: {verdict.why}"
    return "passed" if verdict.right else "failed", f"judge: {verdict.why}"


def _words(text: str) -> list[str]:
    """Its words; where it has only signs, such as a thumb or a plus, they count as words."""
    return _WORDS.findall(text.casefold()) or text.split()


def contains_text(answer: str, expected: str) -> bool:
    """Whether the words of `expected` stand in `answer`, in a row; case and punctuation aside."""
    return f" {' '.join(_words(expected))} " in f" {' '.join(_words(answer))} "


def token_f1(answer: str, expected: str) -> float:
    """How much two texts share, from 0 to 1: the F1 of their words, each as often as it occurs.

    The measure of SQuAD, https://arxiv.org/abs/1606.05250, without dropping articles.
    """
    one, other = Counter(_words(answer)), Counter(_words(expected))
    shared = (one & other).total()
    return 2 * shared / (one.total() + other.total()) if shared else 0.0


def is_refusal(text: str) -> bool:
    """Whether a text begins by declining to answer, in English."""
    beginning = text.strip()[:_BEGINNING].casefold().replace("\u2019", "'")
    return bool(_REFUSAL.match(beginning))
