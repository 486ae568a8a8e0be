"""How long `POST /feedback` takes at 50 requests a second, while MLflow is up and while it is down.

Real gunicorn, relay and MLflow. Fifty people change their minds, one request a second each. A
request's time runs from when it was due, so one held up by the one before counts as slow too.
`python -m bench.feedback_latency`.
"""

import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers import MlflowServer, Stack
from tests.waiting import eventually

PEOPLE = 50
SECONDS = 20
WARM_UP_S = 3
JSON = {"Content-Type": "application/json"}


@dataclass
class Person:
    """Somebody with one answer to judge, over one connection that stays open."""

    address: str
    number: int

    def __post_init__(self) -> None:
        self._http = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=60)
        self._headers = {**JSON, "Cookie": ""}
        answer = self._post("/chat", {"message": f"question {self.number}"})
        self._path = f"/feedback?trace_id={json.loads(answer)['trace_id']}"

    def judge(self, round_: int) -> None:
        """Change the verdict: every round says something else than the one before."""
        self._post(self._path, {"is_correct": bool(round_ % 2), "comment": f"round {round_}"})

    def _post(self, path: str, body: object) -> bytes:
        self._http.request("POST", path, json.dumps(body), self._headers)
        response = self._http.getresponse()
        answer = response.read()
        assert response.status == 200, answer
        if cookie := response.headers.get("Set-Cookie"):
            self._headers["Cookie"] = cookie.partition(";")[0]
        return answer


def measure(people: list[Person], seconds: int) -> list[float]:
    """Let everyone judge once a second, evenly spread; returns each request's time in ms."""
    begin = time.perf_counter() + 0.5
    took: list[list[float]] = [[] for _ in people]

    def run(index: int) -> None:
        for round_ in range(seconds):
            due = begin + round_ + index / len(people)
            time.sleep(max(0.0, due - time.perf_counter()))
            people[index].judge(round_)
            took[index].append((time.perf_counter() - due) * 1000)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(people))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [one for mine in took for one in mine]


def cpu_s(stack: Stack) -> float:
    """CPU seconds that gunicorn and its worker have used."""
    group = os.getpgid(stack.web.pid)
    used = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def report(name: str, values: list[float], cpu: float) -> None:
    """Print one line; `cpu` is what the web process used for all of it, in seconds."""
    ordered = sorted(values)
    p99 = ordered[int(len(ordered) * 0.99)]
    print(
        f"{name:28} median {statistics.median(values):6.1f} ms   p99 {p99:6.1f} ms   "
        f"worst {ordered[-1]:6.1f} ms   web's CPU {cpu * 1000 / len(values):.1f} ms each"
    )


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        mlflow = MlflowServer(Path(folder) / "mlflow")
        stack = Stack(Path(folder) / "bench", mlflow)
        try:
            mlflow.start()
            stack.start()
            people = [Person(stack.url, number) for number in range(PEOPLE)]
            measure(people, WARM_UP_S)
            used = [cpu_s(stack)]
            up = measure(people, SECONDS)
            used.append(cpu_s(stack))
            mlflow.kill9()
            eventually(lambda: "postponed" in stack.relay.log(), timeout=30)
            used.append(cpu_s(stack))
            down = measure(people, SECONDS)
            used.append(cpu_s(stack))
        finally:
            stack.stop()
            mlflow.terminate()
    load = os.getloadavg()[0]
    print(
        f"{PEOPLE} requests a second for {SECONDS} s, each a change of mind, on "
        f"{os.cpu_count()} cores; load average at the end {load:.1f}"
    )
    report("POST /feedback, MLflow up", up, used[1] - used[0])
    report("POST /feedback, MLflow down", down, used[3] - used[2])


if __name__ == "__main__":
    main()
