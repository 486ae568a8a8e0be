"""How long our `POST /feedback` takes at 50 requests a second, while MLflow is up and while not.

Fifty people change their minds, one request a second each. A request's time runs from when it was
due, so one held up by the one before counts as slow too. Beside other servers it is measured in
`bench.side_by_side`. `python -m bench.feedback_latency`.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from bench.rig import OURS, Rig

PEOPLE = 50
SECONDS = 20
JUDGE = {
    "streams": PEOPLE,
    "tokens": 5,
    "rate": 20,
    "ramp_s": 2,
    "judge_s": SECONDS,
    "judge_every_s": 1,
}


def report(name: str, found: dict[str, Any]) -> None:
    """Print one line; the CPU is that of the web process and the relay."""
    took = found["verdict_ms"]
    print(
        f"{name:28} median {took['p50']:6.1f} ms   p99 {took['p99']:6.1f} ms   "
        f"worst {took['max']:6.1f} ms   CPU {found['verdict_cpu_ms']:.1f} ms each   "
        f"failed {found['verdict_failures']}"
    )


def main() -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Rig(Path(folder)).running() as rig,
        rig.peers([OURS], 1, over_http=True) as [ours],
    ):
        rig.measure(ours, **{**JUDGE, "judge_s": 3})
        up = rig.measure(ours, **JUDGE)
        rig.kill_mlflow()
        down = rig.measure(ours, **JUDGE)
    print(
        f"{PEOPLE} requests a second for {SECONDS} s, each a change of mind, on "
        f"{os.cpu_count()} cores; load average at the end {os.getloadavg()[0]:.1f}"
    )
    report("POST /feedback, MLflow up", up)
    report("POST /feedback, MLflow down", down)


if __name__ == "__main__":
    main()
