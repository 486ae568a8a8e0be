"""Draws the CPU time of 1,000 tokens as an SVG that follows the reader's light or dark mode."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from bench.results import median
from bench.rig import OURS

WIDTH, LEAST_LEFT, RIGHT, ROW, BAR = 760, 190, 90, 30, 18
LETTER = 7.2
GROUPS = (
    ("two hundred", "cpu", "Whole turns: 200 streams of 20 tokens a second, model over HTTP"),
    ("in process", "steady_cpu", "Streaming alone: 200 streams of 100 tokens a second"),
)
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-size: 16px; font-weight: 600; }
  .group { font-weight: 600; }
  .quiet { fill: #59636e; }
  .bar { fill: #b6bec8; }
  .ours { fill: #3b6fd4; }
  .range { stroke: #1f2328; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .quiet { fill: #9198a1; }
    .bar { fill: #4d5560; }
    .ours { fill: #6d9cf5; }
    .range { stroke: #f0f6fc; }
  }
"""

Peers = Mapping[str, Mapping[str, Sequence[float]]]


def draw(found: Mapping[str, Any]) -> str:
    """The chart of what `bench.side_by_side` found."""
    body, top = [], 62
    left = _room_for_names(found)
    for scenario, measure, title in GROUPS:
        peers: Peers = found.get(scenario, {}).get("peers", {})
        bars = {name: peer[measure] for name, peer in peers.items() if peer.get(measure)}
        if bars:
            body.append(f'<text class="group" x="16" y="{top}">{escape(title)}</text>')
            body += _bars(bars, top + 12, left)
            top += ROW * len(bars) + 52
    begin = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top - 16}" role="img"'
        ' aria-label="CPU time that each server used for 1,000 tokens; shorter is better.">'
    )
    title = '<text class="title" x="16" y="28">CPU time for 1,000 tokens, in milliseconds</text>'
    legend = (
        f'<text class="quiet" x="{WIDTH - 16}" y="28" text-anchor="end">shorter is better; '
        "the line is the spread of the rounds</text>"
    )
    return "\n".join((begin, f"<style>{STYLE}</style>", title, legend, *body, "</svg>\n"))


def _room_for_names(found: Mapping[str, Any]) -> int:
    names = [name for one, _, _ in GROUPS for name in found.get(one, {}).get("peers", {})]
    return max(LEAST_LEFT, *(round(len(name) * LETTER) + 20 for name in names))


def _bars(bars: Mapping[str, Sequence[float]], top: int, left: int) -> Iterator[str]:
    longest = max(max(values) for values in bars.values())
    scale = (WIDTH - left - RIGHT) / longest
    for row, (name, values) in enumerate(bars.items()):
        y, middle = top + row * ROW, median(values)
        kind = "bar ours" if name == OURS else "bar"
        low, high = left + min(values) * scale, left + max(values) * scale
        text_y, line_y = y + BAR - 4, y + BAR / 2
        yield f'<text x="{left - 10}" y="{text_y}" text-anchor="end">{escape(name)}</text>'
        yield (
            f'<rect class="{kind}" x="{left}" y="{y}" width="{middle * scale:.1f}"'
            f' height="{BAR}" rx="3"/>'
        )
        yield f'<path class="range" d="M{low:.1f} {line_y}H{high:.1f}"/>'
        shown = f"{middle:.0f}" if middle >= 100 else f"{middle:.1f}"
        yield f'<text x="{max(high, left + middle * scale) + 8:.1f}" y="{text_y}">{shown}</text>'
