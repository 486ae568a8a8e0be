"""Notices in a real browser when a page has come to harm: each finding names the hostile case.

A hostile text calls `hit('CASE')` or asks for something of CASE.evil.example; `named` puts the
case's own name there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page

CASES_FILE = Path(__file__).parent / "hostile_outputs.json"

# Installed before any script of the page.
SENTINEL = """
window.__harm = [];
const note = (what) => window.__harm.push(what);
window.hit = (name) => note(`ran: ${name}`);
for (const name of ["alert", "confirm", "prompt", "print", "open"])
  window[name] = (...given) => note(`${name}(${given})`);
document.addEventListener("securitypolicyviolation", (event) =>
  note(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""

# What may be in a rendered answer, and nothing else.
AUDIT = """
(root) => {
  const ALLOWED = {
    a: ["href", "target", "rel", "data-to"], code: ["class"], span: ["class"], ol: ["start"],
    pre: ["tabindex"], figure: ["class"],
    p: [], br: [], hr: [], h1: [], h2: [], h3: [], h4: [], h5: [], h6: [], ul: [], li: [],
    blockquote: [], em: [], strong: [], s: [],
    table: [], thead: [], tbody: [], tr: [], th: [], td: [],
  };
  const found = [];
  const caption = document.querySelector("template#code-block").content.firstElementChild;
  for (const node of root.querySelectorAll("*")) {
    if (node.matches("figure > figcaption *")) continue;
    if (node.matches("figure > figcaption")) {
      const own = node.cloneNode(true);
      own.querySelector("span").textContent = "";
      own.querySelector("button").removeAttribute("data-copied");
      if (!own.isEqualNode(caption.querySelector("figcaption"))) found.push("a changed caption");
      continue;
    }
    const allowed = ALLOWED[node.localName];
    if (!allowed || node.namespaceURI !== "http://www.w3.org/1999/xhtml")
      found.push(`element ${node.outerHTML.slice(0, 120)}`);
    for (const { name, value } of node.attributes) {
      if (!allowed?.includes(name)) found.push(`attribute ${name}=${value}`);
      const known = { CODE: /^language-\\S*$/, SPAN: /^tok-[a-z0-9-]+$/, FIGURE: /^code-block$/ };
      if (name === "class" && !known[node.tagName].test(value)) found.push(`class ${value}`);
    }
    if (node.localName !== "a" || !node.hasAttribute("href")) continue;
    if (!/^(https?:\\/\\/|mailto:)/i.test(node.getAttribute("href")))
      found.push(`leads to ${node.href}`);
    const { host, pathname } = new URL(node.href);
    const to = host || pathname;
    const said = node.textContent.replace(/^https?:\\/\\//, "");
    const told = said.startsWith(to) && /^([/?#]|$)/.test(said.slice(to.length));
    if (!told && !getComputedStyle(node, "::after").content.includes(to))
      found.push(`${JSON.stringify(said)} hides that it leads to ${to}`);
    if (node.target !== "_blank" || !/noopener/.test(node.rel)) found.push("a link to this tab");
  }
  if (/[\\u202a-\\u202e\\u2066-\\u2069]/.test(root.textContent)) found.push("text out of order");
  if (getComputedStyle(root).overflow !== "clip") found.push("may draw over what is around it");
  return found;
}
"""

# What no answer may change, on any page.
SURROUNDINGS = """
() => {
  const at = (node) => [node.tagName, ...Object.values(node.getBoundingClientRect().toJSON())];
  const look = (node) => { const { color, backgroundColor, font, display, position, opacity } =
    getComputedStyle(node); return [color, backgroundColor, font, display, position, opacity]; };
  const fixed = document.querySelectorAll("body, main, footer, .sidebar, #composer");
  const ours = new Set([...document.querySelectorAll("template")].flatMap(({ content }) =>
    [...content.querySelectorAll("*")].map(({ tagName }) => tagName)));
  return {
    places: [...fixed].map(at), looks: [...fixed].map(look),
    wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    tags: [...new Set([...document.querySelectorAll("*")].filter((node) =>
      !node.closest(".prose") && !ours.has(node.tagName)).map(({ tagName }) => tagName))].sort(),
    frames: window.length, open: document.querySelectorAll("dialog[open]").length,
    base: document.baseURI.replace(/\\/c\\/.*/, "/"), cookies: document.cookie,
    policies: document.querySelectorAll("meta[http-equiv]").length,
    styles: document.styleSheets.length,
  };
}
"""


@dataclass(frozen=True)
class Case:
    """One hostile output."""

    kind: str
    name: str
    text: str


def hostile_cases() -> list[Case]:
    """The whole corpus, each case with its name in it."""
    entries: list[dict[str, str]] = json.loads(CASES_FILE.read_text(encoding="ascii"))
    return [
        Case(one["kind"], one["name"], one["text"].replace("CASE", one["name"])) for one in entries
    ]


class Harm:
    """Everything that went wrong on the pages of a browser context."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self._origin = origin
        self._seen: list[str] = []
        context.add_init_script(SENTINEL)
        context.on("page", self._watch)
        for page in context.pages:
            self._watch(page)

    def _watch(self, page: Page) -> None:
        page.on("request", lambda request: self._note_request(request.url))
        page.on("dialog", lambda dialog: self._note_dialog(dialog))
        page.on("popup", lambda popup: self._seen.append(f"a popup: {popup.url}"))
        page.on("pageerror", lambda error: self._seen.append(f"an error: {error}"))
        page.on("frameattached", lambda frame: self._seen.append(f"a frame: {frame.url}"))

    def _note_request(self, url: str) -> None:
        if not url.startswith(f"{self._origin}/"):
            self._seen.append(f"a request: {url}")

    def _note_dialog(self, dialog: Any) -> None:
        self._seen.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def of(self, page: Page) -> list[str]:
        """What has happened so far, anywhere and on this page."""
        return [*self._seen, *page.evaluate("window.__harm")]


def audit(page: Page, selector: str = ".prose") -> dict[str, list[str]]:
    """What is wrong in each answer: its element's ID, and the findings."""
    script = f"""(nodes) => Object.fromEntries(nodes.map((node, index) =>
      [node.closest("[data-client-request-id]")?.id ?? `number ${{index}}`, ({AUDIT})(node)]
    ).filter(([, found]) => found.length))"""
    wrong: dict[str, list[str]] = page.locator(selector).evaluate_all(script)
    return wrong
