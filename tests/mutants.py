"""Shows that the tests of SECURITY.md hold: takes out one defence after the other.

Each mutation of `tests/mutations.py` is made in a copy of this folder, and the row's test has to
fail there. `python -m tests.mutants`, or with names of rows (`python -m tests.mutants F5 M1`).
Exit status 1 when a test passes without its defence, or cannot be run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Queue

from tests.mutations import MUTATIONS, Mutation
from tests.processes import ROOT
from tests.threats import Threat, threats

AT_A_TIME = 2
LONGEST_S = 300
_LEFT_BEHIND = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "data", "test-results")


@dataclass(frozen=True)
class Outcome:
    """What the row's test said of one mutation."""

    mutation: Mutation
    verdict: str
    seconds: float

    @property
    def is_noticed(self) -> bool:
        """Whether the test failed, as it should."""
        return self.verdict == "noticed"


def main(rows: list[str]) -> int:
    """Try every mutation, or those of these rows; returns the exit status."""
    known = {threat.row: threat for threat in threats()}
    chosen = [one for one in MUTATIONS if not rows or one.row in rows]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies: Queue[Path] = Queue()
        for number in range(AT_A_TIME):
            copies.put(copy_to(Path(folder) / str(number)))
        tests = sorted({known[one.row].test for one in chosen})
        print(f"With all defences in place: {len(tests)} tests ...", flush=True)
        verdict = ask_tests(copies.queue[0], tests)
        if verdict != "passed":
            print(f"They have to pass, and {verdict}.")
            return 1
        outcomes = []
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for outcome in pool.map(partial(attempt, copies, known), chosen):
                outcomes.append(outcome)
                print(as_line(outcome, known[outcome.mutation.row]), flush=True)
    missed = [one for one in outcomes if not one.is_noticed]
    took = time.monotonic() - started
    print(f"{len(outcomes)} mutations of {len({one.row for one in chosen})} rows in {took:.0f} s:")
    print(f"{len(outcomes) - len(missed)} noticed, {len(missed)} not.")
    return 1 if missed else 0


def copy_to(folder: Path) -> Path:
    """Copy what the tests need; hidden files and what was built stay behind."""
    shutil.copytree(ROOT, folder, ignore=_LEFT_BEHIND)
    shutil.copy(ROOT / ".env.example", folder)
    return folder


def attempt(copies: Queue[Path], known: dict[str, Threat], mutation: Mutation) -> Outcome:
    """Run the row's test without its defence."""
    started = time.monotonic()
    folder = copies.get()
    try:
        with mutated(folder, mutation) as found:
            said = ask_tests(folder, [known[mutation.row].test]) if found else "text not found"
    finally:
        copies.put(folder)
    verdict = {"failed": "noticed", "passed": "NOT NOTICED"}.get(said, said.upper())
    return Outcome(mutation, verdict, time.monotonic() - started)


@contextmanager
def mutated(folder: Path, mutation: Mutation) -> Iterator[bool]:
    """Make the change, and undo it; yields whether there was exactly one place for it."""
    path = folder / mutation.file
    before = path.read_text()
    found = before.count(mutation.old) == 1
    try:
        if found:
            path.write_text(before.replace(mutation.old, mutation.new))
        yield found
    finally:
        path.write_text(before)


def ask_tests(folder: Path, tests: list[str]) -> str:
    """Run these tests in `folder`: `passed`, `failed`, or what went wrong with running them."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *tests]
    # Python keeps compiled files by time and size, and a mutation may keep both.
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "took too long"
    if done.returncode == 0:
        return "passed"
    # A test that could not begin proves nothing.
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-300:]
    began = done.returncode == 1 and re.search(r"\d+ failed", last) and " error" not in last
    return "failed" if began else f"could not be run: {last}"


def as_line(outcome: Outcome, threat: Threat) -> str:
    """One line of the printed table."""
    mutation = outcome.mutation
    test = threat.test.partition("::")[2]
    return (
        f"{mutation.row:4} {outcome.verdict:12} {outcome.seconds:5.0f} s  {mutation.file:28} {test}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
