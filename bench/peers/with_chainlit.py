"""Chainlit with its data layer: a chat as its documentation builds one, traced by MLflow's autolog.

Runs in `.venv/chainlit`: `chainlit run bench/peers/with_chainlit.py --headless`, with the settings
`CHAINLIT_AUTH_SECRET`, `CHAINLIT_MODEL_URL`, `CHAINLIT_DATABASE` (an SQLite file; its tables are
made here) and `MLFLOW_TRACKING_URI`. The tables and columns are those Chainlit's data layer names:
https://docs.chainlit.io/data-layers/sqlalchemy
"""

import os
import sqlite3
from collections.abc import Mapping

import chainlit as cl
import mlflow
from chainlit.data.sql_alchemy import SQLAlchemyDataLayer
from openai import AsyncOpenAI

DATABASE = os.environ["CHAINLIT_DATABASE"]
TABLES = {
    "users": "identifier UNIQUE, metadata, createdAt",
    "threads": "createdAt, name, userId, userIdentifier, tags, metadata",
    "steps": "name, type, threadId, parentId, streaming, waitForAnswer, isError, metadata, tags,"
    ' input, output, createdAt, command, start, "end", generation, showInput, language, indent,'
    " defaultOpen, autoCollapse, modes",
    "elements": "threadId, type, url, chainlitKey, name, display, objectKey, size, page, language,"
    " forId, mime, props, autoPlay, playerConfig",
    "feedbacks": "forId, threadId, value, comment",
}

with sqlite3.connect(DATABASE) as database:
    # As ours has it. Chainlit's documentation says nothing of how to set up SQLite.
    database.execute("PRAGMA journal_mode = WAL")
    for table, columns in TABLES.items():
        database.execute(f"CREATE TABLE IF NOT EXISTS {table} (id TEXT PRIMARY KEY, {columns})")

# The light package traces nothing before it is told where to.
mlflow.set_experiment("chainlit")
mlflow.openai.autolog()
client = AsyncOpenAI(base_url=os.environ["CHAINLIT_MODEL_URL"], api_key="scripted")


def data_layer() -> SQLAlchemyDataLayer:
    """Keep threads, steps and feedback."""
    return SQLAlchemyDataLayer(conninfo=f"sqlite+aiosqlite:///{DATABASE}")


async def know(headers: Mapping[str, str]) -> cl.User:
    """Believe who somebody says they are; without a user Chainlit keeps no threads of theirs."""
    return cl.User(identifier=headers["x-user"])


async def answer(message: cl.Message) -> None:
    """Answer a question, token by token."""
    reply = cl.Message(content="")
    stream = await client.chat.completions.create(
        model="scripted",
        messages=[
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": message.content},
        ],
        stream=True,
    )
    async for chunk in stream:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            await reply.stream_token(text)
    await reply.send()


cl.data_layer(data_layer)
cl.header_auth_callback(know)
cl.on_message(answer)
