"""How far a command is, on standard error, so that its output can go into a file."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import click


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar from the first call of the function this yields: steps done, steps in all."""
    with ExitStack() as opened:
        advance: Callable[[int], None] | None = None
        shown = 0

        def show(done: int, total: int) -> None:
            nonlocal advance, shown
            if advance is None:
                bar = click.progressbar(length=total, label=label, file=sys.stderr)
                advance = opened.enter_context(bar).update
            advance(done - shown)
            shown = done

        yield show
