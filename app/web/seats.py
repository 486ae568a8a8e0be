"""How many sockets may be open in this process: in all, from one address, and of one person.

A socket takes its seat before the upgrade, so whoever gets none is refused with plain HTTP.
"""

import threading
from collections import Counter
from dataclasses import dataclass

from app.errors import TooManyRequests, Unavailable

# Nobody knows when a seat will be free; browsers ask about as often.
TRY_AGAIN_S = 15


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of one socket."""

    user_id: str
    address: str


class Seats:
    """Counts the sockets."""

    def __init__(self, in_all: int, per_address: int, per_user: int) -> None:
        self._in_all = in_all
        self._per_address = per_address
        self._per_user = per_user
        self._taken = 0
        self._addresses: Counter[str] = Counter()
        self._users: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._taken

    def take(self, user_id: str, address: str) -> Seat:
        """Take a seat, to be given back with `leave`.

        Raises `Unavailable` when all are taken, `TooManyRequests` when this person or this address
        has its share.
        """
        with self._lock:
            if self._taken >= self._in_all:
                raise Unavailable("All connections are taken right now.", code="server_full")
            if self._users[user_id] >= self._per_user:
                raise _too_many("You have", self._per_user)
            if self._addresses[address] >= self._per_address:
                raise _too_many("Your address has", self._per_address)
            self._taken += 1
            self._users[user_id] += 1
            self._addresses[address] += 1
        return Seat(user_id, address)

    def leave(self, seat: Seat) -> None:
        """Give the seat back."""
        with self._lock:
            self._taken -= 1
            for counts, whose in ((self._users, seat.user_id), (self._addresses, seat.address)):
                counts[whose] -= 1
                if not counts[whose]:
                    del counts[whose]


def _too_many(who: str, most: int) -> TooManyRequests:
    return TooManyRequests(
        f"{who} {most} connections open, which is the most allowed.",
        TRY_AGAIN_S,
        code="too_many_sockets",
    )
