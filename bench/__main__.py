"""Run the measurements: `python -m bench`, or some of them: `python -m bench peers feedback`.

What follows `peers` goes to it: `python -m bench peers "two hundred" --rounds 5`.
"""

import sys

from bench import feedback_latency, report_speed, side_by_side, turn_latency

PARTS = {
    "peers": side_by_side.main,
    "turns": turn_latency.main,
    "feedback": feedback_latency.main,
    "report": report_speed.main,
}


def main(arguments: list[str]) -> None:
    """Run the parts that are named, all when none is."""
    if unknown := [name for name in arguments[:1] if name not in PARTS]:
        raise SystemExit(f"Expected one of {', '.join(PARTS)}, got {unknown[0]}.")
    if arguments[:1] == ["peers"]:
        side_by_side.main(arguments[1:])
        return
    for name in arguments or PARTS:
        PARTS[name]()


main(sys.argv[1:])
