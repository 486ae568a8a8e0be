"""How long the page's main thread is busy at a stretch, whatever else the machine is doing.

A `longtask` of PerformanceObserver lasts by the clock on the wall: on two cores shared with a
server, a model and other tests, a task of 10 ms that was put aside for 60 ms counts as long. So
Chromium's own trace is asked for the processor time of each task of the page's main thread
(`tdur`): script, style, layout, paint and garbage collection together, and nothing of the
machine's. On virtual processors that clock jumps ahead at times, so of the two times the lesser
counts: no task can have taken longer than either. What the observer saw, with the scripts it
blames, is told beside it for reading.

And a machine may be slow itself: the same virtual machine computes at half its speed for minutes
when its neighbours do much. So an empty page also lays out a text of known length, before and
after, and on a machine that takes twice as long for that, a task may take twice as long.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page

LONG_MS = 50.0
# What the yardstick takes on the machine that the limit is meant for.
YARDSTICK_MS = 30.0
TASK = "ThreadControllerImpl::RunTask"

OBSERVE = """
window.slowFrames = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const scripts = entry.scripts.map((one) =>
      `${one.invoker} ${one.sourceURL.split("/").pop()} ${Math.round(one.duration)} ms`);
    slowFrames.push(`${Math.round(entry.duration)} ms: ${scripts.join(", ") || "no script"}`);
  }
}).observe({type: "long-animation-frame"});
"""

YARDSTICK = """() => {
  const times = [];
  for (let run = 0; run < 9; run += 1) {
    const began = performance.now();
    const box = document.createElement("div");
    box.style.cssText = "position: absolute; visibility: hidden; width: 20rem";
    box.innerHTML = "<p>words <b>and more</b> of <code>them</code>, so it goes</p>".repeat(600);
    document.body.append(box);
    box.getBoundingClientRect();
    box.remove();
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b)[4];
}"""


@dataclass
class Busy:
    """What was measured, there once the block that measured has ended."""

    tasks_ms: list[float] = field(default_factory=list)
    """Processor time of each task that took a millisecond or more, longest first."""
    slow_frames: list[str] = field(default_factory=list)
    """Frames that took over 50 ms by the clock, with the scripts that ran in them."""
    limit_ms: float = LONG_MS
    """What a task may take, on a machine as slow as this one was."""

    @property
    def long(self) -> list[float]:
        """The tasks no reader should have to wait for."""
        return [task for task in self.tasks_ms if task > self.limit_ms]


@contextmanager
def watch_main_thread(page: Page) -> Iterator[Busy]:
    """Measure the tasks of the page's main thread while the block runs."""
    busy = Busy()
    browser = page.context.browser
    assert browser is not None
    page.evaluate(OBSERVE)
    before = _measure_machine(browser)
    browser.start_tracing(page=page, categories=["toplevel", "__metadata"])
    try:
        yield busy
    finally:
        events = json.loads(browser.stop_tracing())["traceEvents"]
    busy.tasks_ms = sorted(_task_times(events), reverse=True)
    assert busy.tasks_ms, "the trace names no task of the page"
    busy.slow_frames = page.evaluate("slowFrames")
    slowness = max(before, _measure_machine(browser)) / YARDSTICK_MS
    busy.limit_ms = LONG_MS * max(1.0, slowness)


def _measure_machine(browser: Browser) -> float:
    """Milliseconds the yardstick takes, in an empty page."""
    with browser.new_page() as page:
        return float(page.evaluate(YARDSTICK))


def _task_times(events: list[dict[str, Any]]) -> Iterator[float]:
    # Every page's main thread is counted: the others are idle, and one must not be missed.
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    ours = [event for event in events if (event["pid"], event["tid"]) in main]
    # Playwright looks at the page through DevTools, and walks through a long answer to do so.
    starts = sorted(event["ts"] for event in ours if _is_devtools(event))
    for event in ours:
        if event["name"] != TASK or event.get("tdur", 0) < 1000:
            continue
        first = bisect_left(starts, event["ts"])
        inside = first < len(starts) and starts[first] < event["ts"] + event["dur"]
        if not inside:
            yield min(event["tdur"], event["dur"]) / 1000


def _is_devtools(event: dict[str, Any]) -> bool:
    about = event.get("args", {}).get("chrome_mojo_event_info", {})
    return "DevToolsSession" in str(about.get("mojo_interface_tag"))
