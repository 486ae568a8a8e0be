"""The frames of turns in Redis: a stream for each turn, and one for calls to stop; none stays long.

Frame `seq` n of a turn is the entry `0-(n+1)` of its stream, so a stream has no gaps and a reader's
place in it follows from what it has read. https://redis.io/docs/latest/develop/data-types/streams/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis import ConnectionError as Disconnected
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from app.turn_log.memory import KEPT_AFTER_END_S

# Commands are answered in well under a millisecond; a server that takes this long is away.
TIMEOUT_S = 2.0
# How long one read waits for news: the longest that a dead connection goes unnoticed, and no more.
WAIT_S = 2.0
# A turn may be silent for an hour at most (CHAT_TURN_TIMEOUT_S).
KEPT_WHILE_RUNNING_S = 3900
CALLS_KEPT_S = 60
MOST_CALLS = 1000

CALLS = "thumbprint:stops"
TURN = "thumbprint:turn:"

# Adds frames to a stream (KEYS[1]) that has the expected length (ARGV[1]) and no terminal frame.
# ARGV[2]: "1" when the last frame is terminal; ARGV[3]: seconds to live; then the frames.
# Returns the length afterwards, -1 when there is a terminal frame. One script runs at a time.
_APPEND = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if last and #last[2] > 2 then return -1 end
local length = redis.call('XLEN', KEYS[1])
if length ~= tonumber(ARGV[1]) then return length end
for i = 4, #ARGV do
  length = length + 1
  local entry = {'XADD', KEYS[1], '0-' .. string.format('%d', length), 'frame', ARGV[i]}
  if i == #ARGV and ARGV[2] == '1' then
    entry[#entry + 1] = 'ends'
    entry[#entry + 1] = '1'
  end
  redis.call(unpack(entry))
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return length
"""

Entry = tuple[bytes, Mapping[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames to be added to a turn of which Redis should have `length` frames already."""

    turn_id: str
    length: int
    frames: Sequence[str]
    ended: bool


class Streams:
    """The streams of one Redis server. Every method raises RedisError when it cannot be reached."""

    def __init__(self, url: str) -> None:
        """`url` is `redis://` or `rediss://`; see `redis.Redis.from_url`. Connects when used."""
        # Tried again once: a pooled connection may have died with a restarted server.
        retry = Retry(NoBackoff(), 1, supported_errors=(Disconnected,))
        options: dict[str, Any] = {"protocol": 2, "socket_connect_timeout": TIMEOUT_S}
        self._redis = Redis.from_url(url, retry=retry, socket_timeout=TIMEOUT_S, **options)
        self._script = ""
        # Reading waits, so it has a connection of its own and more patience.
        self._reading = Redis.from_url(
            url, retry=Retry(NoBackoff(), 0), socket_timeout=WAIT_S + TIMEOUT_S, **options
        )

    def append(self, pieces: Sequence[Piece]) -> list[int | Exception]:
        """Add all pieces in one round trip.

        Gives for each the turn's length afterwards (other than expected: nothing was added), -1
        when the turn has ended, or what Redis had against it.
        """
        try:
            return self._append(pieces)
        except NoScriptError:  # a server that was restarted
            self._script = ""
            return self._append(pieces)

    def fetch(self, turn_id: str) -> tuple[list[str], bool]:
        """All frames of a turn, and whether the last one is terminal."""
        reply: Any = self._redis.xrange(TURN + turn_id)
        return parse(reply)

    def ping(self) -> None:
        """Return when the server answers."""
        self._redis.ping()

    def delete(self, turn_id: str) -> None:
        """Remove a turn."""
        self._redis.delete(TURN + turn_id)

    def call(self, key: str, turn_id: str, most: int = MOST_CALLS) -> None:
        """Name a turn to whoever reads the stream `key`."""
        with self._redis.pipeline() as pipe:
            pipe.xadd(key, {"turn": turn_id}, maxlen=most)
            pipe.expire(key, CALLS_KEPT_S)
            pipe.execute()

    def read(self, places: dict[str, str]) -> list[tuple[str, list[Entry]]]:
        """Entries after the given place of each stream; waits up to `WAIT_S` for the first."""
        after: Any = places
        reply: Any = self._reading.xread(after, block=int(WAIT_S * 1000))
        return [(key.decode(), entries) for key, entries in reply]

    def _append(self, pieces: Sequence[Piece]) -> list[int | Exception]:
        if not self._script:
            script: Any = self._redis.script_load(_APPEND)
            self._script = script
        with self._redis.pipeline(transaction=False) as pipe:
            for piece in pieces:
                keep_s = KEPT_AFTER_END_S if piece.ended else KEPT_WHILE_RUNNING_S
                arguments = [str(piece.length), str(int(piece.ended)), str(int(keep_s))]
                key = TURN + piece.turn_id
                pipe.evalsha(self._script, 1, key, *arguments, *piece.frames)
            results = pipe.execute(raise_on_error=False)
        for result in results:
            if isinstance(result, NoScriptError):
                raise result
        return results


def parse(entries: Sequence[Entry]) -> tuple[list[str], bool]:
    """The frames of a stream's entries, and whether the last one is terminal."""
    frames = [fields[b"frame"].decode() for _, fields in entries]
    return frames, bool(entries and b"ends" in entries[-1][1])


def place_after(length: int) -> str:
    """The place in a turn's stream after its first `length` frames."""
    return f"0-{length}"


def seq_of(entry: Entry) -> int:
    """The frame's `seq` that an entry of a turn's stream has."""
    return int(entry[0].split(b"-")[1]) - 1
