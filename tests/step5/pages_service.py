"""A stand-in for the service that the pages talk to: canned JSON, a slow stream, and failures on demand."""

import asyncio
import json
import math
import random
import time
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from step5_serving.api.routes import pages
from step5_serving.api.security import SecurityMiddleware
from step5_serving.errors import ApiError

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
SPAN = {"15m": 900, "1h": 3600, "24h": 86400, "7d": 7 * 86400}


def sources():
    paragraphs = (SAMPLE / OVERVIEW).read_text().split("\n\n")
    texts = [
        (OVERVIEW, "How our contracts renew", "\n\n".join(paragraphs[3:5])),
        (
            "contracts/quellmark-ceramics-supply-2025.md",
            "Term and renewal",
            "The agreement runs until 28 February 2027. The agreement then renews for successive periods of "
            "twelve months unless one party gives written notice of termination at least 90 days before the "
            "end of the current period.",
        ),
        (
            "contracts/oskarlund-semitech-supply.md",
            "Duration",
            "There is no automatic renewal: a renewal needs a written agreement signed by both parties.",
        ),
        (OVERVIEW, "What needs a decision this year", "\n\n".join(paragraphs[10:12])),
        (
            "handbook/procurement-policy.md",
            "Renewals",
            "Contracts over EUR 150,000 a year are not renewed by silence: a review takes place six months "
            "before the end of the term, even when the renewal itself is automatic.",
        ),
    ]
    return [
        {"number": n, "document": document, "place": f"{document}, {place}", "text": text}
        for n, (document, place, text) in enumerate(texts, 1)
    ]


def call_facts(**changes):
    """The JSON of POST /query."""
    facts = {
        "answer": ANSWER,
        "abstained": False,
        "sources": sources(),
        "confidence": 0.93,
        "attempts": [
            {"strategy": "question", "query": QUESTION, "confidence": 0.71, "took": False},
            {
                "strategy": "spelling",
                "query": "what are the contract renewal terms",
                "confidence": 0.93,
                "took": True,
            },
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
    """What the stand-in does; tests change it, `reset` takes it back."""

    pieces: list[str] = field(default_factory=lambda: [f"{word} " for word in ANSWER.split()])
    facts: dict = field(default_factory=call_facts)
    pace: float = 0.0  # seconds a piece
    fail: tuple[int, dict, dict] | None = None  # status, body, headers of the next call
    cut_after: int | None = None  # pieces, then the connection is gone
    event_error: str | None = None
    key: str | None = None
    has_calls: bool = True
    asked: list[dict] = field(default_factory=list)
    cancelled: int = 0
    feedback: list[dict] = field(default_factory=list)
    looks: int = 0  # at the summary

    def reset(self):
        fresh = Script()
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))


def rows(n=60):
    """Calls as the table has them, the newest first."""
    rng = random.Random(3)
    now = datetime.now(UTC)
    questions = [json.loads(line)["text"] for line in (SAMPLE.parent / "questions.jsonl").open()][:40]
    made = []
    for i in range(n):
        failed, generate = rng.random() < 0.06, rng.lognormvariate(7.6, 0.45)
        sure = min(0.99, rng.betavariate(6, 1.2))
        made.append(
            {
                "trace_id": f"{i + 1:032x}",
                "started_at": (now - timedelta(seconds=40 + 97 * i)).isoformat(timespec="milliseconds"),
                "route": "query",
                "status": 504 if failed else 200,
                "error_type": "timeout_error" if failed else None,
                "question": None if i == 5 else questions[i % len(questions)],
                "confidence": sure,
                "abstained": sure < 0.6 and not failed,
                "model": "SmolLM2-135M-Instruct",
                "prompt_version": f"answer/{1 + i % 2}@{'ab12cd34' if i % 2 == 0 else '77fe01c2'}",
                "input_tokens": None if failed else rng.randrange(600, 1000),
                "output_tokens": None if failed else rng.randrange(12, 90),
                "cost_usd": None if failed or i % 7 == 0 else rng.uniform(2e-4, 6e-4),
                "total_ms": generate + 220,
            }
        )
    return made


def summary(since):
    """A day with a rush at noon, and one hour in which the engine failed."""
    rng, length = random.Random(7), SPAN[since]
    step = length / 48
    now = time.time()
    series = []
    for i in range(48):
        busy = 0.15 + math.exp(-((i - 27) ** 2) / 90)
        calls = 0 if i in (3, 4, 5, 11) else round(14 * busy * rng.uniform(0.7, 1.3))
        errors = round(calls * 0.3) if i in (33, 34) else int(calls > 6 and rng.random() < 0.12)
        p50 = rng.uniform(0.85, 1.15) * (1300 + 700 * busy) if calls else None
        series.append(
            {
                "start": datetime.fromtimestamp(now - length + i * step, UTC).isoformat(),
                "calls": calls,
                "errors": errors,
                "p50_ms": p50,
                "p95_ms": p50 and p50 * rng.uniform(1.7, 2.6),
                "input_tokens": calls * rng.randrange(700, 900),
                "output_tokens": calls * rng.randrange(30, 60),
                "cost_usd": calls * 4.1e-4,
            }
        )
    calls, errors = sum(each["calls"] for each in series), sum(each["errors"] for each in series)
    unsure = sorted((row for row in rows() if row["question"]), key=lambda row: row["confidence"])[:6]
    return {
        "since": datetime.fromtimestamp(now - length, UTC).isoformat(),
        "until": datetime.fromtimestamp(now, UTC).isoformat(),
        "calls": calls,
        "errors": errors,
        "refused": 4,
        "running": 0,
        "lost": 2,
        "abstained": 27,
        "error_rate": errors / calls,
        "unknown_costs": 31,
        "cost_usd": sum(each["cost_usd"] for each in series),
        "tokens": {
            "input": sum(each["input_tokens"] for each in series),
            "output": sum(each["output_tokens"] for each in series),
        },
        "latency_ms": {
            "total": {"p50": 1914.0, "p95": 4120.0},
            "queue": {"p50": 9.0, "p95": 640.0},
            "retrieve": {"p50": 128.0, "p95": 310.0},
            "rerank": {"p50": 58.0, "p95": 96.0},
            "generate": {"p50": 1702.0, "p95": 3804.0},
            "first_token": {"p50": 391.0, "p95": 870.0},
        },
        "low_confidence": [{k: row[k] for k in ("trace_id", "question", "confidence")} for row in unsure],
        "by_prompt_version": [
            version("answer/1@ab12cd34", calls // 2, 1830.0, 0.87, 0.021, 0.041),
            version("answer/2@77fe01c2", calls - calls // 2, 2011.0, 0.90, 0.034, None),
        ],
        "series": series,
    }


def version(name, calls, p50, mean, errors, cost):
    return {
        "prompt_version": name,
        "calls": calls,
        "p50_ms": p50,
        "p95_ms": 2.1 * p50,
        "mean_confidence": mean,
        "error_rate": errors,
        "cost_usd": cost,
    }


def nothing():
    """A summary before the first call."""
    none = {"p50": None, "p95": None}
    stages = ("total", "queue", "retrieve", "rerank", "generate", "first_token")
    return summary("24h") | {
        **dict.fromkeys(("calls", "errors", "refused", "lost", "abstained", "unknown_costs"), 0),
        "error_rate": None,
        "cost_usd": 0.0,
        "tokens": {"input": 0, "output": 0},
        "latency_ms": dict.fromkeys(stages, none),
        "low_confidence": [],
        "by_prompt_version": [],
        "series": [],
    }


def make_app(script):
    app = FastAPI()
    app.add_middleware(SecurityMiddleware, names=None)  # the service's own headers
    app.include_router(pages.router)
    app.mount("/pages", pages.files)

    @app.middleware("http")
    async def guard(request, call_next):
        is_page = request.url.path == "/" or request.url.path.startswith(("/pages", "/dashboard", "/favicon"))
        if script.key and not is_page and request.headers.get("Authorization") != f"Bearer {script.key}":
            return error(401, "authentication_error", "no key, or one that is not known")
        return await call_next(request)

    @app.exception_handler(ApiError)
    async def refused(_request: Request, refusal: ApiError):
        return JSONResponse(refusal.body(), refusal.status)

    @app.get("/documents")
    async def documents():
        names = sorted(str(path.relative_to(SAMPLE)) for path in SAMPLE.rglob("*.*"))
        return {
            "documents": [{"id": i, "name": n, "collection": n.split("/")[0]} for i, n in enumerate(names, 1)]
        }

    @app.post("/query/stream")
    async def stream(request: Request):
        script.asked.append(await request.json())
        if script.fail:
            (status, body, headers), script.fail = script.fail, None
            return JSONResponse(body, status, headers)
        return StreamingResponse(events(script), media_type="text/event-stream")

    @app.post("/feedback")
    async def feedback(request: Request):
        script.feedback.append(await request.json())
        return {"stored": True}

    @app.get("/telemetry/summary")
    async def telemetry(since: str = "24h"):
        script.looks += 1
        return summary(since) if script.has_calls else nothing()

    @app.get("/telemetry/calls")
    async def calls(limit: int = 20, before: str = "", low_confidence: bool = False, error: bool = False):
        found = rows() if script.has_calls else []
        if low_confidence:
            found = [row for row in found if row["confidence"] < 0.7]
        if error:
            found = [row for row in found if row["error_type"]]
        begin = int(before or 0)
        end = begin + limit
        return {"calls": found[begin:end], "next": str(end) if end < len(found) else None}

    @app.get("/telemetry/calls/{trace_id}")
    async def call(trace_id: str):
        row = next((row for row in rows() if row["trace_id"] == trace_id), None)
        if not row:
            return error(404, "not_found_error", "no such call")
        facts = script.facts
        return row | {
            "engine": "torch",
            "key_id": "demo",
            "answer": facts["answer"],
            "sources": facts["sources"],
            "attempts": [facts["attempts"][0] | SEARCHES[0], facts["attempts"][-1] | SEARCHES[1]],
            "queue_ms": 12.1,
            "retrieve_ms": 141.0,
            "rerank_ms": 61.5,
            "generate_ms": row["total_ms"] - 220,
            "first_token_ms": 390.0,
            "finish_reason": "end_turn",
            "prompt": {"id": "answer", "version": 1, "sha256": 64 * "a", "text": PROMPT},
            "parameters": {"k": 5, "collection": None, "reader": "chat", "threshold": 0.85},
        }

    return app


def error(status, kind, message):
    return JSONResponse({"error": {"type": kind, "message": message}}, status)


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
