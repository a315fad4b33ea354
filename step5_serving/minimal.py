"""A model in production on one page: step 3 behind an API, and a row with tokens, latency and cost per call.

    uvicorn step5_serving.minimal:app
    curl localhost:8000/query --json '{"question": "When do contracts renew automatically?"}'
    curl localhost:8000/telemetry

The row is committed before the answer is sent, so no answer is missing from telemetry, whatever happens then.
Failed calls have a row, too. Not included: keys, a queue, streams, batching, a dashboard.
"""

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

from shared.catalog import lookup
from shared.chat.client import chat_client
from shared.chat.errors import explain
from shared.config import load_settings

COLUMNS = "at, question, answer, status, confidence, input_tokens, output_tokens, seconds, usd"
SUMMARY = """SELECT count(*) AS calls, sum(status >= 400) AS errors, sum(input_tokens) AS input_tokens,
             sum(output_tokens) AS output_tokens, avg(seconds) AS mean_seconds, sum(usd) AS usd FROM calls"""


class Query(BaseModel):
    """What is posted."""

    question: Annotated[str, Field(min_length=1, max_length=2000)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The index, the model and the database are opened once, before the first request."""
    from step3_rag.opening import open_retriever

    app.state.settings = settings = load_settings()
    app.state.retriever = open_retriever(settings, None)
    app.state.client = chat_client(settings=settings)
    app.state.db = sqlite3.connect("minimal.db", isolation_level=None)
    app.state.db.execute(f"CREATE TABLE IF NOT EXISTS calls ({COLUMNS})")
    yield
    app.state.db.close()


app = FastAPI(lifespan=lifespan)


@app.post("/query")
async def query(query: Query, request: Request) -> dict[str, Any]:
    """Answer a question from the documents. Nothing is awaited, so calls are answered one by one."""
    from step3_rag.pipeline import ChatError, Plan, ask

    state, began = request.app.state, time.perf_counter()
    model = state.settings.model
    price = None if state.settings.base_url else lookup(model).price  # unknown for your own server
    row: dict[str, Any] = dict.fromkeys(COLUMNS.split(", "))
    row |= {"at": time.time(), "question": query.question, "status": 200}
    try:
        found = ask(state.retriever, query.question, Plan(reader="chat"), state.client, model)
        read, written = found.answer.input_tokens or 0, found.answer.output_tokens or 0
        row |= {"answer": found.answer.text, "confidence": found.confidence}
        row |= {"input_tokens": read, "output_tokens": written, "usd": price and price.cost(read, written)}
    except ChatError as error:
        row |= {"status": 503, "answer": f"{model}: {explain(error.cause, state.settings)}"}
    row["seconds"] = round(time.perf_counter() - began, 3)
    state.db.execute(f"INSERT INTO calls VALUES ({', '.join(f':{name}' for name in row)})", row)
    if row["status"] != 200:
        raise HTTPException(row["status"], row["answer"])
    return row


@app.get("/telemetry")
async def telemetry(request: Request) -> dict[str, Any]:
    """What happened so far; null is unknown."""
    found = request.app.state.db.execute(SUMMARY)
    return dict(zip([column[0] for column in found.description], found.fetchone(), strict=True))
