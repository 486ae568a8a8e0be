"""Asks whether any pinned package has a known hole: `python -m supply.audit PIP_AUDIT`.

Exit status 1 if one has. If nobody could be asked, that is said, and is no failure: a network that
is away must not stop work, and an audit that did not happen must not look like one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PINS = Path(__file__).parent.parent / "constraints.txt"
NOT_DONE = "audit: NOT done:"


def main() -> None:
    """Audit constraints.txt with the given `pip-audit`."""
    program = Path(sys.argv[1])
    if not program.exists():
        print(f"{NOT_DONE} pip-audit could not be installed.")
        return
    pins = [line for line in PINS.read_text().splitlines() if "==" in line]
    # One question first: where the database is out of reach, that is enough to know it.
    report, complaint = ask(program, pins[:1])
    if report and not skipped(report):
        report, complaint = ask(program, pins)
    status, words = judge(report)
    print(words if report else f"{words} {complaint}".rstrip())
    sys.exit(status)


def ask(program: Path, pins: list[str]) -> tuple[list[dict[str, Any]], str]:
    """What pip-audit finds of each package; or nothing, and the last line of its complaint."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins))
        file.flush()
        answer = subprocess.run(
            [
                *(program, "--requirement", file.name, "--no-deps", "--disable-pip"),
                *("--progress-spinner", "off", "--timeout", "10", "--format", "json"),
            ],
            capture_output=True,
            text=True,
        )
    try:
        found: list[dict[str, Any]] = json.loads(answer.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        said = answer.stderr.strip().splitlines() or [f"it ended with {answer.returncode}"]
        return [], f"pip-audit: {said[-1][:200]}"
    return found, ""


def skipped(report: list[dict[str, Any]]) -> list[str]:
    """The packages that the database would not speak of."""
    return [one["name"] for one in report if "skip_reason" in one]


def judge(report: list[dict[str, Any]]) -> tuple[int, str]:
    """The exit status, and what to say."""
    holes = [
        f"  {one['name']} {one['version']}: {hole['id']}, mended in "
        f"{', '.join(hole['fix_versions']) or 'no version yet'}"
        for one in report
        for hole in one.get("vulns", [])
    ]
    unasked = skipped(report)
    if holes:
        return 1, "\n".join(["audit: known holes:", *holes])
    if len(unasked) == len(report):
        return 0, f"{NOT_DONE} no database of known holes has answered."
    answered = f"{len(report) - len(unasked)} packages have no known hole"
    rest = f"; not asked about: {', '.join(unasked)}" if unasked else ""
    return 0, f"audit: {answered}{rest}."


if __name__ == "__main__":
    main()
