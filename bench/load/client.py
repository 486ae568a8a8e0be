"""Reads many answers at once and says what it saw, as one line of JSON.

A process of its own on uvloop, so that it is never what limits the server.
`python -m bench.load.client SPEC`, with the fields of `Spec` as JSON.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import uvloop

from bench.load.kinds import KINDS
from bench.load.processes import cpu_s, members, memory_kb
from bench.load.stream import Notes, Stream
from bench.load.verdicts import Court
from bench.tokens import question

# What who does not read asks for: more than the kernel keeps for a reader that takes nothing.
STALLED = (1500, 40.0)
# How long after the last verdict its way to MLflow still counts as the server's work.
DELIVERED_S = 2.0
# More at once and a listening socket's queue overflows.
AT_ONCE = 50


@dataclass(frozen=True)
class Spec:
    """What to do: connect, be idle, ask everyone, read to the end."""

    port: int
    kind: str
    streams: int
    tokens: int = 0
    rate: float = 1.0
    ramp_s: float = 0.0
    idle_s: float = 1.0
    settle_s: float = 6.0
    """How long after the last answer work that was put off still counts as the server's."""
    timeout_s: float = 180.0
    stalled: int = 0
    """How many of the streams read nothing before all others have ended."""
    silent: int = 0
    """How many ask nothing at all."""
    judge_s: float = 0.0
    """How long everyone judges their answer afterwards; then only that is told."""
    judge_every_s: float = 0.0
    """How often each of them does; without it, as soon as the verdict before is answered."""
    groups: dict[str, list[int]] = field(default_factory=dict)
    """Process groups whose CPU time is measured; the memory is that of `server`."""


class Run:
    """One measurement."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._host = f"127.0.0.1:{spec.port}"
        self._notes = Notes()
        self._streams: list[Stream] = []
        self._pids = {name: members(groups) for name, groups in spec.groups.items()}
        self._pids["client"] = [os.getpid()]
        self._samples: list[tuple[float, int, float, float]] = []

    async def measure(self) -> dict[str, object]:
        """Do what the spec says."""
        spec = self._spec
        memory = [memory_kb(self._pids["server"])]
        await self._connect()
        await asyncio.sleep(spec.idle_s)
        memory.append(memory_kb(self._pids["server"]))
        held = sum(not stream.transport.is_closing() for stream in self._streams)
        idle: dict[str, object] = {
            "held": held,
            "idle_kb_each": (memory[1] - memory[0]) / spec.streams,
        }
        if not spec.tokens:
            return idle
        before = {name: cpu_s(pids) for name, pids in self._pids.items()}
        sampling = asyncio.create_task(self._sample())
        begin = time.monotonic()
        await self._ask()
        try:
            async with asyncio.timeout(spec.timeout_s):
                for stream in self._reading():
                    await stream.done.wait()
                for stream in self._streams[: spec.stalled]:
                    stream.transport.resume_reading()
                    await stream.done.wait()
        except TimeoutError:
            for stream in self._streams[: spec.streams - spec.silent]:
                stream.fail("no end in time")
        seconds = time.monotonic() - begin
        sampling.cancel()
        await asyncio.sleep(spec.settle_s)
        if spec.judge_s:
            return await self._judge()
        cpu = {name: cpu_s(pids) - before[name] for name, pids in self._pids.items()}
        return {**idle, "seconds": seconds, "cpu_s": cpu, **self._figures(), **self._steady(memory)}

    async def _connect(self) -> None:
        spec, loop = self._spec, asyncio.get_running_loop()
        cookies = await asyncio.to_thread(self._cookies)
        room = asyncio.Semaphore(AT_ONCE)

        async def connect(cookie: str) -> None:
            async with room, asyncio.timeout(60):
                _, stream = await loop.create_connection(
                    lambda: KINDS[spec.kind](self._notes, self._host, cookie),
                    "127.0.0.1",
                    spec.port,
                )
                await stream.open.wait()
                self._streams.append(stream)

        await asyncio.gather(*(connect(cookies[i % len(cookies)]) for i in range(spec.streams)))

    def _cookies(self) -> list[str]:
        """Identities, where the server gives any; at most 100, each for several streams."""
        kind, people = KINDS[self._spec.kind], min(100, self._spec.streams)
        return [kind.identify(self._host, number) for number in range(people)]

    def _reading(self) -> list[Stream]:
        spec = self._spec
        return self._streams[spec.stalled : spec.streams - spec.silent]

    async def _ask(self) -> None:
        spec, begin = self._spec, time.monotonic()
        asked = question(spec.tokens, spec.rate)
        for stream in self._streams[: spec.stalled]:
            stream.stall()
            stream.ask(question(*STALLED))
        reading = self._reading()
        for number, stream in enumerate(reading):
            due = begin + spec.ramp_s * number / len(reading)
            if (wait_s := due - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            stream.ask(asked)

    async def _sample(self) -> None:
        """Note what the server has used, from time to time, for `_steady`."""
        while True:
            usable = all(one.first_at for one in self._reading()) and not self._notes.ended
            kilobytes = memory_kb(self._pids["server"]) if usable and not self._samples else 0
            if usable:
                used = cpu_s(self._pids["server"])
                self._samples.append((time.monotonic(), self._notes.tokens, used, kilobytes))
            await asyncio.sleep(0.2)

    async def _judge(self) -> dict[str, object]:
        spec, court = self._spec, Court()
        answered = [stream for stream in self._streams if stream.done_at]
        before = cpu_s(self._pids["server"])
        await court.sit(self._host, answered, spec.judge_s, spec.judge_every_s)
        await asyncio.sleep(DELIVERED_S)
        used = cpu_s(self._pids["server"]) - before
        return {
            "verdict_ms": _summary(court.took_s),
            "verdicts_per_s": len(court.took_s) / spec.judge_s,
            "verdict_cpu_ms": used * 1000 / max(1, len(court.took_s)),
            "verdict_failures": len(court.failures) + spec.streams - len(answered),
            "verdict_failures_by_kind": Counter(court.failures),
        }

    def _steady(self, memory: list[int]) -> dict[str, object]:
        """CPU per token while every stream streams: without beginnings and ends."""
        if len(self._samples) < 3:
            return {"steady_us": None, "streaming_kb_each": None}
        (begin, tokens, cpu, kilobytes), (end, more, used, _) = self._samples[0], self._samples[-1]
        return {
            "steady_us": (used - cpu) / max(1, more - tokens) * 1e6,
            "steady_s": end - begin,
            "streaming_kb_each": (kilobytes - memory[0]) / self._spec.streams,
        }

    def _figures(self) -> dict[str, object]:
        notes, spec = self._notes, self._spec
        stalled, reading = self._streams[: spec.stalled], self._reading()
        ended = [one for one in reading if one.done_at]
        length_s = (spec.tokens - 1) / spec.rate
        return {
            "tokens": notes.tokens,
            "complete": sum(one.tokens == spec.tokens for one in ended)
            + sum(one.tokens == STALLED[0] for one in stalled),
            "queued": notes.queued,
            "failures": len(notes.failures),
            "failures_by_kind": Counter(why[:40] for why in notes.failures),
            "cut_off": notes.cut_off if spec.stalled else None,
            "corrupt": len(notes.corrupt) if spec.kind == "checked" else None,
            "first_token_ms": _summary(
                [one.first_at - one.asked_at for one in reading if one.first_at]
            ),
            "gap_ms": _summary(list(notes.gaps)),
            "age_ms": _summary(list(notes.ages)),
            "end_late_ms": _summary([one.lateness(length_s) for one in ended]),
            "done_ms": _summary([one.done_at - one.last_at for one in ended]),
        }


def _summary(seconds: list[float]) -> dict[str, float] | None:
    """Median, 99th percentile and worst, in milliseconds."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    last = len(ordered) - 1
    picked = {"p50": ordered[last // 2], "p99": ordered[int(last * 0.99)], "max": ordered[-1]}
    return {name: round(value * 1000, 2) for name, value in picked.items()}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(Run(Spec(**json.loads(sys.argv[1]))).measure())))
