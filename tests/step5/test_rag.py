"""Answers from step 3: what they contain, errors, many at a time, cancellation, readiness."""

import asyncio
import contextlib
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from shared import prompts
from step3_rag import PROMPTS
from step3_rag.answer import read
from step3_rag.pipeline import Plan, ask
from step3_rag.retrieve.reader import Reading
from step5_serving.addresses import listening
from step5_serving.errors import ApiError
from step5_serving.rag import answers
from step5_serving.seam import Query, nothing
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.versions import Versions
from tests.conftest import ROOT
from tests.step5.rag_parts import NOTICE
from tests.step5.service_parts import (
    ASKED,
    app_of,
    calls_of,
    client_of,
    error_of,
    events_in,
    eventually,
    get,
    in_loop,
    line_of,
    post,
    run_for,
    until,
)
from tests.step5.stand_in_engine import WORDS, StandInEngine


def asked(question=NOTICE, **fields):
    return Query(question=question, **fields)


def answer(rag, query=None, call=None):
    """The call of one answer, with what was told and written."""
    call, heard = call or Call("query", 200), []
    run_for(rag.answerer.answer(query or asked(), call, lambda *event: heard.append(event)))
    return call, heard


async def answered(rag, query, tell=nothing):
    """The call of one answer, in an event loop."""
    call = Call("query", 200)
    await rag.answerer.answer(query, call, tell)
    return call


def test_an_answer_of_the_chat_model_has_all_that_telemetry_stores(rag):
    made = rag()
    made.api.enqueue("Notice is 60 days [1].", usage={"input_tokens": 90, "output_tokens": 12})
    got, heard = answer(made, asked(k=3, collection="contracts"))
    assert got.answer == "Notice is 60 days [1]."
    assert heard[0][0] == "retrieved"
    assert "".join(data["text"] for _, data in heard[1:]) == got.answer
    assert len(heard) > 2
    assert (got.input_tokens, got.output_tokens, got.finish_reason) == (90, 12, "end_turn")
    assert (got.sources, got.confidence, got.attempts) == tuple(heard[0][1].values())
    source = got.sources[0]
    assert (source["number"], source["document"]) == (1, "contracts/supply.md")
    assert re.fullmatch("[0-9a-f]{64}", source["sha256"])
    assert all(each > 0 for each in (got.retrieve_ms, got.rerank_ms, got.generate_ms))
    [attempt] = got.attempts
    assert (attempt["strategy"], attempt["query"], attempt["took"]) == ("question", NOTICE, True)
    assert attempt["start_ms"] == 0.0
    assert attempt["retrieve_ms"] <= got.retrieve_ms
    assert got.prompt.startswith("answer/1@")
    assert prompts.parse(got.prompt_text).sha256 == got.prompt_sha256
    assert (got.model, got.engine, got.abstained) == ("scripted", "scripted", False)
    of_the_query = {"k": 3, "collection": "contracts", "reader": "chat"}
    limits = {"threshold": 0.0, "budget": 1024, "max_tokens": 200}
    others = {"strategies": [], "quantize": None, "verdict": "answer"}
    assert got.parameters == of_the_query | limits | others


@pytest.mark.parametrize(("mode", "written"), [("hang", False), ("stall", True), ("endless", True)])
def test_a_caller_who_leaves_pays_for_what_was_read_and_written(rag, monkeypatch, mode, written):
    """Over HTTP, while the prompt is read and while the answer is written."""
    monkeypatch.setattr(answers, "cost_of", lambda _model, read, wrote: read + 100 * wrote)
    with StandInEngine() as engine:
        engine.mode = mode
        app = app_of(rag(server=engine).answerer)
        with listening(app) as url:
            with (
                contextlib.suppress(httpx.ReadTimeout),
                httpx.stream("POST", f"{url}/query/stream", json=ASKED, timeout=2) as got,
            ):
                next(line for line in got.iter_lines() if line == "event: delta")
            [call] = until(lambda: calls_of(app))
        engine.released.set()
    assert (call.status, call.error_type) == (499, "client_gone")
    if written:
        assert call.input_tokens == 100  # as the model said
    else:
        assert call.input_tokens > 50  # counted in the prompt
    assert (call.output_tokens > 0) == written
    assert call.cost_usd == call.input_tokens + 100 * call.output_tokens


def test_the_requested_version_of_the_prompt_is_sent(rag):
    made = rag()
    for version in (1, 2):
        made.api.enqueue("60 days [1].")
        got, _ = answer(made, asked(prompt_version=version))
        assert got.prompt_version == version
        assert made.api.requests[-1]["system"] == prompts.load(PROMPTS, "answer", version).system
    with pytest.raises(ApiError, match="prompt_version 9 does not exist: there are 1, 2") as refused:
        answer(made, asked(prompt_version=9))
    assert refused.value.status == 404


def test_a_quote_is_that_of_step_3_and_uses_no_tokens(rag):
    made = rag()
    got, heard = answer(made, asked(reader="quote"))
    same = ask(made.answerer.retriever, NOTICE, Plan(strategies=(), threshold=0.0, abstain=False))
    assert got.answer == same.answer.text
    assert [data["text"] for kind, data in heard if kind == "delta"] == [got.answer]
    assert (got.input_tokens, got.output_tokens, got.prompt, got.model) == (0, 0, None, "quote")
    assert got.cost_usd == 0.0
    assert not made.api.requests


def test_an_abstention_asks_no_model(rag):
    made = rag(threshold=1.0)
    got, heard = answer(made)
    assert (got.answer, got.abstained, got.input_tokens, got.output_tokens) == (read.UNKNOWN, True, 0, 0)
    assert got.parameters["verdict"] == "abstain"
    assert got.confidence < 1
    assert heard[-1] == ("delta", {"text": read.UNKNOWN})
    assert not made.api.requests


def test_tokens_of_rewriting_count_even_for_a_quote(rag):
    made = rag(threshold=1.0, strategies="hyde")
    made.api.enqueue("The notice period is ninety days.", usage={"input_tokens": 40, "output_tokens": 7})
    got, _ = answer(made, asked(reader="quote"))
    assert len(made.api.requests) == 1
    assert (got.input_tokens, got.output_tokens) == (40, 7)
    assert got.model == made.answerer.model  # whose price it has


def test_the_times_include_every_attempt(rag):
    made, call = rag(threshold=1.0, strategies="meaning"), Call("query", 200, queue_ms=7.0)
    got, _ = answer(made, asked(reader="quote"), call)
    first, second = got.attempts
    assert (first["strategy"], second["strategy"]) == ("question", "meaning")
    assert first["start_ms"] == got.queue_ms
    assert second["start_ms"] == first["start_ms"] + (first["retrieve_ms"] + first["rerank_ms"])
    assert got.retrieve_ms >= first["retrieve_ms"] + second["retrieve_ms"]
    assert (first["took"], second["took"]).count(True) == 1


def test_an_unknown_collection(rag):
    with pytest.raises(ApiError, match="it has contracts, documents, handbook") as refused:
        answer(rag(), asked(collection="nowhere"))
    assert refused.value.status == 404


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        ({"refused": True}, 503, "api_error"),
        ({"hang": True}, 504, "timeout_error"),
        ({"status": 529}, 503, "overloaded_error"),
        ({"status": 429}, 503, "overloaded_error"),
        ({"status": 401}, 502, "api_error"),
        ({"status": 500}, 502, "api_error"),
        ({"text": "Half an answer", "sse_cut": 4}, 503, "api_error"),  # a killed engine looks like this
    ],
)
def test_a_model_that_fails_is_one_line_and_what_was_found_is_kept(rag, failure, status, kind):
    made = rag()
    made.api.enqueue(**failure)
    call = Call("query", 200)
    with pytest.raises(ApiError) as refused:
        answer(made, call=call)
    assert (refused.value.status, refused.value.type) == (status, kind)
    assert refused.value.message.startswith("scripted: ")
    assert call.sources
    made.api.enqueue("60 days [1].")
    assert answer(made)[0].answer  # without a restart


@pytest.fixture
def engine():
    with StandInEngine() as engine:
        yield engine


def test_an_engine_that_is_gone_or_none_at_all_and_comes_back(rag, engine, monkeypatch):
    monkeypatch.setattr(answers, "CHECK_S", 0.0)
    app = app_of(rag(engine).answerer)
    engine.stop()
    got = post(app)
    assert (got.status_code, bool(got.headers["retry-after"])) == (503, True)
    assert "nobody answers" in get(app, "/readyz").json()["reason"]
    engine.start()
    engine.mode = "nonsense"
    assert post(app).status_code == 502
    engine.mode = "answer"
    assert post(app).json()["answer"] == WORDS
    assert get(app, "/readyz").status_code == 200


ENDLESS = """
from tests.step5.stand_in_engine import StandInEngine
engine = StandInEngine()
engine.mode = "endless"
engine.start()
print(engine.address, flush=True)
input()
"""


@contextlib.contextmanager
def engine_process():
    """An engine in a process of its own, which writes for ever; gives the process and its address."""
    command = [sys.executable, "-c", ENDLESS]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, cwd=ROOT) as process:
        try:
            yield process, line_of(process.stdout).strip()
        finally:
            process.kill()


@pytest.mark.parametrize("path", ["/query", "/query/stream"])
def test_an_engine_that_is_killed_in_the_middle_of_an_answer_gives_503(rag, path):
    """kill -9, while the caller waits or reads."""
    with engine_process() as (process, address):
        made = rag(SimpleNamespace(address=address))
        app = app_of(made.answerer)
        with listening(app) as url, ThreadPoolExecutor(1) as pool:
            asking = pool.submit(httpx.post, url + path, json=ASKED, timeout=30)
            until(lambda: made.answerer._heard_at > 0 and app.state.service.admission.running)
            time.sleep(0.5)  # of writing
            process.kill()
            got = asking.result()
    [call] = calls_of(app)
    assert (call.status, call.error_type) == (503, "api_error")
    assert call.sources
    assert call.output_tokens  # paid for
    if path == "/query":
        assert (got.status_code, bool(got.headers["retry-after"])) == (503, True)
        assert "broke off" in error_of(got)[1]
    else:
        name, error = events_in(got.text)[-1]
        assert (name, error["type"]) == ("error", "api_error")
        assert "broke off" in error["message"]


@pytest.mark.parametrize("mode", ["hang", "stall"])
@in_loop
async def test_an_engine_that_hangs_blocks_nobody_for_longer_than_the_timeout(rag, engine, mode):
    """Before the first byte or in the middle of an answer, with more calls than run at the same time."""
    limits = {"timeout_s": 1.0, "running": 3}
    client = client_of(app_of(rag(engine, **limits).answerer, waiting=6, **limits))
    engine.mode = mode
    began = time.monotonic()
    got = await asyncio.gather(*(client.post("/query", json=ASKED) for _ in range(12)))
    assert 0.8 < time.monotonic() - began < 3
    statuses = [each.status_code for each in got]
    assert set(statuses) <= {503, 504}, statuses
    assert statuses.count(504) >= 3
    assert all(int(each.headers["retry-after"]) >= 1 for each in got if each.status_code == 503)
    engine.mode = "answer"
    async with asyncio.timeout(5):  # no thread is still blocked
        while (await client.post("/query", json=ASKED)).status_code != 200:
            await asyncio.sleep(0.01)


def test_the_trace_decides_the_version_of_the_prompt(rag):
    made = rag()
    made.answerer.versions = versions = Versions.of(PROMPTS, "answer", None, "1:50,2:50")
    for trace in "abcdef":
        made.api.enqueue("60 days [1].")
        got, _ = answer(made, call=Call("query", 200, trace_id=trace))
        assert got.prompt_version == versions.pick(trace)


@in_loop
async def test_cancelling_stops_the_model_at_the_next_piece_of_text(rag, engine):
    engine.mode = "endless"
    made, heard = rag(engine), []
    task = asyncio.ensure_future(answered(made, asked(), lambda *event: heard.append(event)))
    await eventually(lambda: len(heard) > 1)  # a text has come
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(engine.left.wait, 5)


QUESTIONS = [NOTICE, "kettle in the kitchen", "Oslo servers", "days of leave", "price of a sensor", "pilot"]


@in_loop
async def test_concurrent_answers_are_the_same_as_single_ones(rag):
    made = rag(running=8)
    alone = {q: await answered(made, asked(q, reader="quote")) for q in QUESTIONS}
    for _ in range(2):
        asking = [asked(q, reader="quote") for q in QUESTIONS * 3]
        calls = await asyncio.gather(*(answered(made, each) for each in asking))
        for query, got in zip(asking, calls, strict=True):
            same = alone[query.question]
            assert (got.answer, got.sources, got.confidence) == (same.answer, same.sources, same.confidence)


# --- state -------------------------------------------------------------------------------------------------


@in_loop
async def test_not_ready_while_the_model_makes_no_progress(rag, engine, monkeypatch):
    monkeypatch.setattr(answers, "SILENT_S", 0.2)
    engine.mode = "stall"
    made = rag(engine)
    assert await made.answerer.ready() is None
    asking = asyncio.ensure_future(answered(made, asked()))
    await eventually(lambda: made.answerer.silence() > 0.25)
    assert "has sent nothing for" in await made.answerer.ready()
    engine.mode = "hang"
    another = asyncio.ensure_future(answered(made, asked()))
    await eventually(lambda: len(made.answerer._asking) == 2)
    assert made.answerer.silence() > 0.25  # a new question is no sign of life
    asking.cancel()
    another.cancel()
    engine.released.set()
    await eventually(lambda: made.answerer.silence() == 0.0)
    assert await made.answerer.ready() is None


def test_the_reader_of_step_3_is_used_and_timed(rag, monkeypatch):
    asked = []

    class Slow:
        def read(self, question, title, passage):
            asked.append(question)
            time.sleep(0.1)
            return Reading(passage, [(0, len(passage))], np.array([3.0]))

    monkeypatch.setattr("step3_rag.opening.load_reader", lambda _embedder: Slow())
    got, _ = answer(rag(), Query(question=NOTICE, reader="quote"))
    assert NOTICE in asked
    assert got.retrieve_ms >= 100
