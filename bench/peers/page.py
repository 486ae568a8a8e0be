"""The design of MLflow's documentation page on collecting feedback, as far as it streams.

FastAPI, a span around the generator, one event a token, and a pause of 10 ms after each, which
`PAGE_PAUSE_S=0` takes out. The model is asked with the SDK's `AsyncOpenAI`, unless
`PAGE_MODEL_URL` is unset: then the tokens are made in the process. Tracing is MLflow's default.
https://mlflow.org/docs/latest/genai/assessments/feedback/
"""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator

import mlflow
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from mlflow.entities import AssessmentSource
from openai import AsyncOpenAI
from pydantic import BaseModel

from bench.peers import source

PAUSE_S = float(os.environ.get("PAGE_PAUSE_S", "0.01"))
MODEL_URL = os.environ.get("PAGE_MODEL_URL")

# The light package traces nothing before it is told where to.
mlflow.set_experiment("page")
client = AsyncOpenAI(base_url=MODEL_URL, api_key="scripted")
app = FastAPI()


class ChatRequest(BaseModel):
    """A question."""

    message: str


class FeedbackRequest(BaseModel):
    """A verdict on an answer."""

    is_correct: bool
    comment: str | None = None


async def ask_model(message: str) -> AsyncIterator[str]:
    """Yield the answer's tokens."""
    if MODEL_URL is None:
        async for token in source.answer(message):
            yield token
        return
    stream = await client.chat.completions.create(
        model="scripted",
        messages=[
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": message},
        ],
        stream=True,
    )
    async for chunk in stream:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            yield text


def event(**fields: str) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(fields)}\n\n"


async def stream_answer(message: str) -> AsyncIterator[str]:
    """Yield the events of one answer."""
    try:
        with mlflow.start_span(name="streaming_chat") as span:
            mlflow.update_current_trace(client_request_id=f"req-{uuid.uuid4().hex}")
            whole = ""
            async for token in ask_model(message):
                whole += token
                yield event(type="token", content=token)
                if PAUSE_S:
                    await asyncio.sleep(PAUSE_S)
            span.set_attribute("response", whole)
            span.set_attribute("token_count", len(whole.split()))
            yield event(type="done", trace_id=span.trace_id)
    except Exception as error:  # noqa: BLE001 (as the page has it)
        yield event(type="error", error=str(error))


async def chat_stream(request: ChatRequest) -> StreamingResponse:
    """Answer a question as server-sent events."""
    headers = {"Cache-Control": "no-cache", "Connection": "keep-alive", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        stream_answer(request.message), media_type="text/event-stream", headers=headers
    )


def feedback(trace_id: str, request: FeedbackRequest) -> dict[str, str]:
    """Record a verdict on a trace."""
    mlflow.log_feedback(
        trace_id=trace_id,
        name="user_feedback",
        value=request.is_correct,
        source=AssessmentSource(source_type="HUMAN", source_id="somebody"),
        rationale=request.comment,
    )
    return {"status": "success", "trace_id": trace_id}


def healthy() -> dict[str, str]:
    """Say that the server is up."""
    return {"status": "healthy"}


app.post("/chat/stream")(chat_stream)
app.post("/feedback")(feedback)
app.get("/healthz")(healthy)
