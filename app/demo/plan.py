"""Invents what happens in the demo: who asks what and when, how it ends, and what they say of it.

The same seed and time make the same plan. Three versions of the app follow each other; the last one
answers much better, the second no better than the first.
"""

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.demo import PEOPLE

DAYS = 30
CONVERSATIONS = 190
_DAY_MS = 86_400_000
# Nothing happens in the last minutes, so that all of it is over by now.
_QUIET_MS = 1_800_000

Outcome = Literal["complete", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Version:
    """A release of the app in the demo: in use from `days_ago` on, until the next one."""

    name: str
    model: str
    days_ago: float
    poor_answers: float
    pace_ms: int


VERSIONS = (
    Version("0.8.0", "demo-small", DAYS, 0.40, 45),
    Version("0.9.0", "demo-small", 17, 0.42, 40),
    Version("1.0.0", "demo-large", 8, 0.1, 28),
)


@dataclass(slots=True)
class Said:
    """What a person says of an answer, if anything."""

    thumb: bool | None = None
    comment: str | None = None
    reasons: list[str] = field(default_factory=list)
    stars: dict[str, int] = field(default_factory=dict)
    correction: str | None = None
    # The other thumb came first, or this one was taken back again.
    first_thumb: bool | None = None
    withdrawn: bool = False
    copied: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """One question, the answer it gets, and what is said of that; `again` asks it anew."""

    question: str
    answer: str
    outcome: Outcome
    said: Said
    think_ms: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns of one person, from `starts_at` (epoch, in milliseconds) on."""

    person: str
    starts_at: int
    version: Version
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What can be said of answers in this app: its dimensions and reasons."""

    dimensions: tuple[str, ...]
    reasons: dict[str, list[str]]


def make_plan(now: int, vocabulary: Vocabulary, seed: int = 22) -> list[Conversation]:
    """Every conversation of the demo, in the order they begin; `now` in milliseconds."""
    chance = random.Random(seed)
    starts = sorted(_moment(chance, now) for _ in range(CONVERSATIONS))
    return [_conversation(chance, start, now, vocabulary) for start in starts]


def _moment(chance: random.Random, now: int) -> int:
    """When a conversation begins: more of them lately, on weekdays and in working hours.

    Draws the same number of times whatever the time is, so that the rest of the plan stays.
    """
    days_ago = int(DAYS * (1 - chance.random() ** 0.75))
    hour = min(23.9, max(0.0, chance.gauss(13, 3.2)))
    works_on_weekends = chance.random() < 0.35
    moment = now // _DAY_MS * _DAY_MS - days_ago * _DAY_MS + int(hour * 3_600_000)
    weekday = (moment // _DAY_MS + 3) % 7  # Monday is 0; the epoch was a Thursday
    if weekday > 4 and not works_on_weekends:
        moment -= (weekday - 4) * _DAY_MS
    if moment > now - _QUIET_MS:
        moment -= _DAY_MS
    return max(moment, now - DAYS * _DAY_MS)


def _conversation(
    chance: random.Random, start: int, now: int, vocabulary: Vocabulary
) -> Conversation:
    days_ago = (now - start) / _DAY_MS
    version = [one for one in VERSIONS if one.days_ago >= days_ago][-1]
    # Some people are here all the time, most of them now and then.
    person = PEOPLE[min(int(chance.expovariate(0.13)), len(PEOPLE) - 1)]
    turns: list[Turn] = []
    for topic in chance.sample(_TOPICS, chance.choices((1, 2, 3), (6, 3, 1))[0]):
        turns += _turns(chance, topic, version, vocabulary)
    return Conversation(person, start, version, tuple(turns))


def _turns(
    chance: random.Random, topic: dict[str, Any], version: Version, vocabulary: Vocabulary
) -> Iterator[Turn]:
    """A question, sometimes asked again after a poor answer, sometimes with one that follows."""
    poor = chance.random() < version.poor_answers
    question = chance.choice(topic["ask"])
    yield _turn(chance, topic, question, poor, vocabulary)
    if poor and chance.random() < 0.2:
        still_poor = chance.random() < version.poor_answers
        yield _turn(chance, topic, question, still_poor, vocabulary, again=True)
    if "follow" in topic and chance.random() < 0.6:
        poor = chance.random() < version.poor_answers
        followed = {
            "good": topic["follow_good"],
            "poor": topic["follow_poor"],
            "reasons": topic["reasons"],
            "correction": topic["follow_good"],
        }
        yield _turn(chance, followed, topic["follow"], poor, vocabulary)


def _turn(
    chance: random.Random,
    topic: dict[str, Any],
    question: str,
    poor: bool,
    vocabulary: Vocabulary,
    *,
    again: bool = False,
) -> Turn:
    outcome: Outcome = chance.choices(("complete", "stopped", "failed"), (92, 4.5, 3.5))[0]
    unhappy = poor or outcome == "failed"
    said = _said(chance, topic, unhappy, vocabulary) if chance.random() < 0.55 else Said()
    if outcome == "failed":
        said.correction = None
    said.copied = not unhappy and chance.random() < 0.15
    answer = topic["poor"] if poor else topic["good"]
    return Turn(question, answer, outcome, said, chance.randint(4_000, 90_000), again)


def _said(
    chance: random.Random, topic: dict[str, Any], unhappy: bool, vocabulary: Vocabulary
) -> Said:
    up = chance.random() < (0.08 if unhappy else 0.94)
    said = Said(thumb=up)
    if not up and chance.random() < 0.7:
        said.reasons = _reasons(chance, topic["reasons"], vocabulary.reasons["down"])
    if up and chance.random() < 0.3:
        said.reasons = _reasons(chance, [], vocabulary.reasons["up"])
    if not up and unhappy:
        said.comment = topic.get("comment") if chance.random() < 0.55 else None
        said.correction = topic["correction"] if chance.random() < 0.4 else None
    if up and chance.random() < 0.12:
        said.comment = chance.choice(_PRAISE)
    if chance.random() < 0.25:
        around = 4.5 if up else 2.0
        said.stars = {
            name: min(5, max(1, round(chance.gauss(around, 0.9)))) for name in vocabulary.dimensions
        }
    if chance.random() < 0.06:
        said.first_thumb = not up
    said.withdrawn = chance.random() < 0.03
    return said


def _reasons(chance: random.Random, fitting: list[str], offered: list[str]) -> list[str]:
    known = [reason for reason in fitting if reason in offered]
    return known or (chance.sample(offered, 1) if offered else [])


_TOPICS: list[dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("topics.toml").read_text(encoding="utf-8")
)["topic"]
_PRAISE = (
    "Exactly what I needed, thanks!",
    "Short and right.",
    "The example helped a lot.",
    "Saved me an hour.",
    "Better than the manual.",
)
