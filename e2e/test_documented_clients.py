"""Clients written for the MLflow documentation's examples work unmodified.

Their logic is driven here in a real page of our origin: the fetch-based chat and feedback, by
trace ID and by client request ID, the detailed feedback, and the streaming hook's parser.
See https://docs.databricks.com/aws/en/mlflow3/genai/tracing/collect-user-feedback/
"""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from e2e.chat_page import ChatPage
from tests.scripted_model import Answer
from tests.servers import Stack
from tests.waiting import eventually

# Asks as the examples do and reads only what they read: `response` and the two IDs.
PLAIN = """
async ([message, vote]) => {
  const asked = await fetch('/chat', {
    method: 'POST',
    headers: {'Content-Type': 'application/json', 'X-Session-ID': 'session-1'},
    body: JSON.stringify({message}),
  });
  const data = await asked.json();
  const id = vote.by === 'trace'
    ? {trace_id: data.trace_id, user_id: 'somebody'}
    : {client_request_id: data.client_request_id};
  const judged = await fetch(`/feedback?${new URLSearchParams(id)}`, {
    method: 'POST',
    headers: {'Content-Type': 'application/json', 'X-User-ID': 'somebody'},
    body: JSON.stringify({is_correct: vote.value, comment: vote.comment}),
  });
  return {...data, ok: judged.ok, judged: await judged.json()};
}
"""

# Splits lines across reads and switches on the three event types, as the documented hook does.
STREAMING = """
async (message) => {
  const state = {text: '', traceId: null, error: null, streaming: true};
  const answer = await fetch('/chat/stream', {
    method: 'POST',
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({message}),
  });
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const {done, value} = await reader.read();
    if (done) break;
    rest += decoder.decode(value, {stream: true});
    const lines = rest.split('\\n');
    rest = lines.pop() || '';
    for (const line of lines) {
      if (!line.startsWith('data: ')) continue;
      const event = JSON.parse(line.slice(6));
      if (event.type === 'token') state.text += event.content;
      if (event.type === 'done') { state.traceId = event.trace_id; state.streaming = false; }
      if (event.type === 'error') { state.error = event.error; state.streaming = false; }
    }
  }
  if (state.traceId) {
    const judged = await fetch(`/feedback?trace_id=${state.traceId}`, {
      method: 'POST',
      headers: {'Content-Type': 'application/json'},
      body: JSON.stringify({is_correct: true, comment: null}),
    });
    state.judged = judged.ok;
  }
  return state;
}
"""

DETAILED = """
async (traceId) => {
  const query = new URLSearchParams({trace_id: traceId, accuracy: 5, helpfulness: 4, relevance: 3,
    user_id: 'somebody', comment: 'good'});
  return (await fetch(`/detailed-feedback?${query}`, {method: 'POST'})).json();
}
"""


def ask_plainly(chat: ChatPage, message: str, **vote: Any) -> dict[str, Any]:
    answer: dict[str, Any] = chat.page.evaluate(PLAIN, [message, vote])
    return answer


def test_the_plain_example_by_trace_id(chat: ChatPage, stack: Stack) -> None:
    data = ask_plainly(chat, "plain by trace", by="trace", value=False, comment="wrong")
    assert data["response"] == "You said: plain by trace"
    assert data["ok"]
    assert data["judged"]["status"] == "success"
    assert data["judged"]["trace_id"] == data["trace_id"]
    verdicts = eventually(lambda: stack.reader.verdicts(data["trace_id"]))
    assert [(v.name, v.value, v.rationale) for v in verdicts] == [("user_feedback", False, "wrong")]
    assert verdicts[0].source_id != "somebody"


def test_the_plain_example_by_client_request_id(chat: ChatPage, stack: Stack) -> None:
    data = ask_plainly(chat, "plain by request", by="request", value=True, comment=None)
    assert data["ok"]
    eventually(lambda: stack.reader.verdict(data["trace_id"]) is True)


def test_the_streaming_example(chat: ChatPage, stack: Stack) -> None:
    text = ["Line one\n", "data: not an event\n\n", "ünïcode 👍 ", "end"]
    stack.model.answer_when("streaming example", Answer(tokens=text, delay_s=0.03))
    state = chat.page.evaluate(STREAMING, "streaming example")
    assert state["text"] == "".join(text)
    assert state["error"] is None
    assert state["streaming"] is False
    assert state["judged"]
    eventually(lambda: stack.reader.verdict(state["traceId"]) is True)


def test_the_streaming_example_shows_a_failure(chat: ChatPage, stack: Stack) -> None:
    stack.model.answer_when("failing example", Answer(status=500))
    state = chat.page.evaluate(STREAMING, "failing example")
    assert state["error"]
    assert "500" not in state["error"]
    assert state["streaming"] is False


def test_the_detailed_example(chat: ChatPage, stack: Stack) -> None:
    data = ask_plainly(chat, "detailed", by="trace", value=True, comment=None)
    answer = chat.page.evaluate(DETAILED, data["trace_id"])
    assert answer["status"] == "success"
    assert answer["feedback_recorded"] == {"accuracy": 5, "helpfulness": 4, "relevance": 3}

    def ratings() -> dict[str, tuple[object, str | None]]:
        verdicts = stack.reader.verdicts(data["trace_id"])
        return {v.name: (v.value, v.rationale) for v in verdicts if v.name != "user_feedback"}

    expected = {
        "user_accuracy": (1.0, "good"),
        "user_helpfulness": (0.8, None),
        "user_relevance": (0.6, None),
    }
    eventually(lambda: ratings() == expected)


def test_the_page_works_beside_them(chat: ChatPage) -> None:
    message = chat.ask_and_wait("and the page itself")
    expect(message).to_contain_text("You said: and the page itself")
