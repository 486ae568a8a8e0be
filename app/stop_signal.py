"""What tells a process to end, by a signal or by a call.

Not a `threading.Event`: a second signal that comes while the handler of the first one holds the
event's lock would wait for that lock for ever, in the one thread that could give it back.
"""

import signal
from queue import Empty, SimpleQueue


class StopSignal:
    """Given once, it stays given."""

    def __init__(self, *signals: signal.Signals) -> None:
        """Any of `signals` gives it; to be made in the main thread then."""
        # Its `put` may interrupt its own `put` and `get`:
        # https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put
        self._given: SimpleQueue[None] = SimpleQueue()
        for number in signals:
            signal.signal(number, lambda *_: self.give())

    def give(self) -> None:
        """Tell the process to end; safe in a signal handler."""
        self._given.put(None)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is given, or `timeout_s` have passed; returns whether it is given."""
        try:
            self._given.get(timeout=timeout_s)
        except Empty:
            return False
        self.give()
        return True
