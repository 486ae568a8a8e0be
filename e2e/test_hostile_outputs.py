"""Whatever a model writes, it is only text: e2e/hostile_outputs.json holds what others have tried.

Every case is shown in a real browser, growing as it streams and as the server renders it: alone,
letter by letter, and with others through the whole app.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from playwright.sync_api import Page, expect

from app.rendering import render
from e2e.chat_page import ChatPage
from e2e.harm import AUDIT, SURROUNDINGS, Case, Harm, audit, hostile_cases
from e2e.visitor import Turn, Visitor
from tests.scripted_answer import Answer, Gate, Step
from tests.servers import Stack

CASES = hostile_cases()
TOGETHER = 12
"""Cases in one answer."""
MOST_ASKED = 7_000
HARMLESS = "A [link](https://a.example), `code` and\n\n```python\nx = 1\n```\n\n- a list\n"

# Shows each case alone, after every letter (long ones in 150 steps), then as the server renders it.
SHOW_EACH = f"""
async (cases) => {{
  const check = ({AUDIT});
  const {{ proseIn }} = await import(document.querySelector("script[type=module]").src
    .replace("main.js", "prose.js"));
  const found = {{}};
  for (const {{ name, text, html }} of cases) {{
    const root = document.createElement("div");
    root.className = "prose";
    document.querySelector("#transcript").append(root);
    const render = proseIn(root);
    const wrong = new Set();
    const show = (text, html) => {{
      while (!render(text, html, Infinity));
      for (const each of check(root)) wrong.add(each);
    }};
    const step = Math.max(1, Math.floor(text.length / 150));
    for (let end = step; end < text.length; end += step) show(text.slice(0, end), null);
    show(text, null);
    show(text, html);
    if (wrong.size) found[name] = [...wrong];
    root.remove();
  }}
  return found;
}}
"""


class Conversation:
    """One conversation whose answers hold all cases, some together; each stops in its middle."""

    def __init__(self, stack: Stack, visitor: Visitor) -> None:
        self._gates: list[Gate] = []
        self.turns: list[Turn] = []
        with visitor.open_socket() as socket:
            first = socket.ask("something harmless")
            self.path = f"/c/{first.conversation_id}"
            for name, text in together(CASES):
                gate = stack.model.gate()
                self._gates.append(gate)
                middle = len(text) // 2
                tokens: list[Step] = [text[:middle], gate, text[middle:]]
                stack.model.answer_when(f"{name}:", Answer(tokens=tokens))
                asked = f"{name}: {text}"[:MOST_ASKED]
                turn = socket.send_message(
                    asked, client_request_id=name, conversation_id=first.conversation_id
                )
                self.turns.append(turn)
            for gate in self._gates:
                gate.wait_reached()

    def go_on(self) -> None:
        """Let the other halves come."""
        for gate in self._gates:
            gate.release()


def together(cases: list[Case]) -> Iterator[tuple[str, str]]:
    """Some cases of one kind as one answer, with a name."""
    for kind, group in itertools.groupby(cases, lambda case: case.kind):
        texts = [case.text for case in group]
        for start in range(0, len(texts), TOGETHER):
            yield f"{kind}-{start}", "\n\n***\n\n".join(texts[start : start + TOGETHER])


def with_cookie_of(visitor: Visitor, harm: list[Harm]) -> Callable[[Page], None]:
    """Make a page this visitor's, and have it watched."""

    def prepare(page: Page) -> None:
        name, value = visitor.cookie.split("=", 1)
        page.context.add_cookies([{"name": name, "value": value, "url": visitor.url}])
        harm.append(Harm(page.context, visitor.url))

    return prepare


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


def test_each_hostile_output_alone_is_only_text_at_every_letter(
    open_page: Callable[..., ChatPage], stack: Stack, visitor: Visitor
) -> None:
    harm: list[Harm] = []
    page = open_page(stack.url, with_cookie_of(visitor, harm)).page
    before = page.evaluate(SURROUNDINGS)
    cases = [{"name": case.name, "text": case.text, "html": render(case.text)} for case in CASES]
    assert page.evaluate(SHOW_EACH, cases) == {}
    assert harm[0].of(page) == []
    assert page.evaluate(SURROUNDINGS) == before


def test_hostile_outputs_do_no_harm_while_they_stream_nor_afterwards(
    open_page: Callable[..., ChatPage], stack: Stack, visitor: Visitor
) -> None:
    stack.model.answer_when("something harmless", Answer(tokens=[HARMLESS]))
    conversation = Conversation(stack, visitor)
    harm: list[Harm] = []
    chat = open_page(stack.url, with_cookie_of(visitor, harm))
    before = chat.page.evaluate(SURROUNDINGS)

    def expect_no_harm() -> None:
        assert audit(chat.page) == {}
        assert harm[0].of(chat.page) == []
        assert chat.page.evaluate(SURROUNDINGS) == before

    chat.open(conversation.path)
    streaming = chat.page.locator('.answer[data-ending="streaming"]')
    expect(streaming).to_have_count(len(conversation.turns))
    expect(streaming.filter(has=chat.page.locator(".prose:empty"))).to_have_count(0)
    expect_no_harm()
    conversation.go_on()
    ended = chat.page.locator('.answer[data-ending="complete"]')
    expect(ended).to_have_count(len(conversation.turns) + 1, timeout=30_000)
    expect_no_harm()
    # A browser without its own sanitizer.
    chat.page.add_init_script("delete Element.prototype.setHTML")
    chat.page.reload()
    expect(ended).to_have_count(len(conversation.turns) + 1)
    expect_no_harm()
