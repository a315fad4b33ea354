"""A stand-in for the service that the pages talk to: a slow stream, failures on demand, a day of calls."""

import asyncio
import functools
import json
import random
import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route

from step5_serving.telemetry.call import now
from step5_serving.telemetry.reading import list_calls
from step5_serving.telemetry.store import Store
from step5_serving.telemetry.summary import summarize
from step5_serving.telemetry.writer import write_rows
from tests.step5.service_parts import ListRecorder, app_of
from tests.step5.telemetry_parts import call_of, sha, source_of

SAMPLE = Path(__file__).parents[2] / "step3_rag" / "sample" / "documents"
OVERVIEW = "contracts/renewal-overview.md"
QUESTION = "What are the contract renewal terms?"
ANSWER = (
    "Most agreements renew automatically for a fixed period unless one party gives notice in time [1]. "
    "A few end on a fixed date and need a new signature, like the one with Oskarlund Semitech [1, 3], and "
    "the Sablewick terms run until somebody terminates them [1]. The agreement with Quellmark Ceramics "
    "renews for twelve months at a time; its notice period is 90 days [2]."
)
PROMPT = "You answer questions from numbered sources.\n\nRules:\n- Use only what the sources say."
SEARCHES = [
    {"start_ms": 12.4, "retrieve_ms": 70.0, "rerank_ms": 31.5},
    {"start_ms": 115.1, "retrieve_ms": 71.0, "rerank_ms": 30.0},
]
AT = now()  # when the last of the calls had just ended
MARKUP = "<img src=x onerror=alert(1)> [1]"


def sources():
    paragraphs = (SAMPLE / OVERVIEW).read_text().split("\n\n")
    texts = [
        (OVERVIEW, "\n\n".join(paragraphs[3:5])),
        ("contracts/quellmark-ceramics-supply-2025.md", "It renews for successive periods of twelve months."),
        ("contracts/oskarlund-semitech-supply.md", "There is no automatic renewal: it needs an agreement."),
        (OVERVIEW, "\n\n".join(paragraphs[10:12])),
        ("handbook/procurement-policy.md", "Contracts over EUR 150,000 are not renewed by silence."),
    ]
    return [source_of(text, document, n) for n, (document, text) in enumerate(texts, 1)]


def call_facts(**changes):
    """The JSON of POST /query."""
    facts = {
        "answer": ANSWER,
        "abstained": False,
        "sources": sources(),
        "confidence": 0.93,
        "attempts": [
            {"strategy": "question", "query": QUESTION, "confidence": 0.71, "took": False},
            {"strategy": "spelling", "query": QUESTION.lower(), "confidence": 0.93, "took": True},
        ],
        "usage": {"input_tokens": 862, "output_tokens": 74},
        "latency_ms": {"total": 2904.2, "queue": 12.1, "retrieve": 141.0, "rerank": 61.5, "generate": 2655.8},
        "cost_usd": 0.00052,
        "prompt_version": "answer/1@ab12cd34",
        "model": "SmolLM2-135M-Instruct",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
    }
    return facts | changes


@dataclass
class Script:
    """What the stand-in does; tests change it."""

    pieces: list[str] = field(default_factory=lambda: [f"{word} " for word in ANSWER.split()])
    facts: dict = field(default_factory=call_facts)
    pace: float = 0.0  # seconds a piece
    fail: tuple[int, str | None, str | None] | None = None  # status, message, Retry-After of the next call
    cut_after: int | None = None  # pieces, then the connection is gone
    event_error: str | None = None
    key: str | None = None
    has_calls: bool = True
    asked: list[dict] = field(default_factory=list)
    cancelled: int = 0
    feedback: list[dict] = field(default_factory=list)
    looks: int = 0  # at the summary


def made_up(n=60):
    """Calls of a day, the oldest first: some failed, some of unknown cost, by two versions of the prompt."""
    draw = random.Random(3)
    questions = [json.loads(line)["text"] for line in (SAMPLE.parent / "questions.jsonl").open()][:n]
    attempts = [each | times for each, times in zip(call_facts()["attempts"], SEARCHES, strict=True)]
    failed = {"status": 504, "error_type": "timeout_error", "input_tokens": None, "output_tokens": None}
    for i in reversed(range(n)):
        generate, sure = draw.lognormvariate(7.6, 0.45), min(0.99, draw.betavariate(6, 1.2))
        known = {
            "trace_id": f"{i + 1:032x}",
            "started_at": AT - timedelta(seconds=40 + 1200 * i),
            "question": None if i == 5 else questions[i % len(questions)],
            "answer": MARKUP if i == 0 else ANSWER,
            "sources": sources(),
            "attempts": attempts,
            "confidence": sure,
            "abstained": sure < 0.6,
            "prompt_version": 1 + i % 2,
            "prompt_sha256": sha(str(i % 2)),
            "prompt_text": PROMPT,
            "cost_usd": None if i % 7 == 0 else draw.uniform(2e-4, 6e-4),
            "total_ms": generate + 220,
            "generate_ms": generate,
        }
        yield call_of(**known | (failed if i % 15 == 3 else {}))


@functools.cache
def store(n=60):
    """A database of so many of these calls."""
    made = Store.open(f"{tempfile.mkdtemp(prefix='pages')}/telemetry.db", create=True)
    if n:
        write_rows(made, list(made_up(n)))
    return made


def summary():
    return summarize(store(), timedelta(days=1))


def rows():
    return list_calls(store(), 60)["calls"]


def make_app(script):
    """The service, except for questions, feedback and documents."""
    recorder = ListRecorder()

    async def guard(request, call_next):
        is_page = request.url.path == "/" or request.url.path.startswith(("/pages", "/dashboard", "/favicon"))
        if script.key and not is_page and request.headers.get("Authorization") != f"Bearer {script.key}":
            return error(401, "authentication_error", "no key, or one that is not known")
        script.looks += request.url.path == "/telemetry/summary"
        recorder.store = store() if script.has_calls else store(0)
        return await call_next(request)

    async def documents(_request):
        names = sorted(str(path.relative_to(SAMPLE)) for path in SAMPLE.rglob("*.*"))
        rows = [{"id": i, "name": n, "collection": n.split("/")[0]} for i, n in enumerate(names, 1)]
        return JSONResponse({"documents": rows})

    async def stream(request):
        script.asked.append(await request.json())
        if script.fail:
            (status, message, seconds), script.fail = script.fail, None
            headers = {"Retry-After": seconds} if seconds else None
            return error(status, "...", message, headers) if message else JSONResponse(None, status)
        return StreamingResponse(events(script), media_type="text/event-stream")

    async def feedback(request):
        script.feedback.append(await request.json())
        return JSONResponse({"stored": True})

    routes = [
        Route("/documents", documents),
        Route("/query/stream", stream, methods=["POST"]),
        Route("/feedback", feedback, methods=["POST"]),
        Mount("/", app_of(recorder=recorder)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard)])


def error(status, kind, message, headers=None):
    return JSONResponse({"error": {"type": kind, "message": message}}, status, headers)


def event(name, data):
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def events(script):
    facts = script.facts
    try:
        await asyncio.sleep(script.pace)
        yield event("retrieved", {name: facts[name] for name in ("sources", "confidence", "attempts")})
        for n, piece in enumerate(script.pieces):
            if script.cut_after is not None and n >= script.cut_after:
                raise ConnectionAbortedError  # uvicorn closes the connection in the middle of the body
            if script.pace:
                await asyncio.sleep(script.pace)
            yield event("delta", {"text": piece})
        if script.event_error:
            yield event("error", {"type": "api_error", "message": script.event_error})
        else:
            yield event("done", facts)
    except (asyncio.CancelledError, GeneratorExit):
        script.cancelled += 1
        raise
