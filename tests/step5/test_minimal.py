"""The service on one page, over HTTP: an answer and its row, and a row for a call that fails."""

import contextlib
import functools
import shutil
import sqlite3

import httpx
import pytest

from step3_rag import pipeline
from step5_serving import minimal
from step5_serving.addresses import listening
from tests.scripted import ScriptedMessages

ASKED = {"question": "When does the contract renew?"}


@pytest.fixture
def served(index_home, fake, monkeypatch, tmp_path):
    """The app under uvicorn, on step 3's test documents with a scripted model; its address and its script."""
    shutil.copytree(index_home, tmp_path / "rag-index")
    api = ScriptedMessages(max_retries=0)
    monkeypatch.setattr(minimal, "chat_client", lambda **_: api.client)
    # The test's embedder knows no meaning: answer, whatever the confidence.
    monkeypatch.setattr(pipeline, "Plan", functools.partial(pipeline.Plan, threshold=0.0, strategies=()))
    with listening(minimal.app) as address:
        yield address, api


def rows():
    with contextlib.closing(sqlite3.connect("minimal.db")) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM calls")]


def test_each_call_has_its_row(served):
    address, api = served
    api.enqueue("Every year [1].", usage={"input_tokens": 100, "output_tokens": 10})
    got = httpx.post(f"{address}/query", json=ASKED, timeout=60).json()
    assert (got["answer"], got["status"], got["question"]) == ("Every year [1].", 200, ASKED["question"])
    assert (got["input_tokens"], got["output_tokens"]) == (100, 10)
    assert got["seconds"] > 0
    assert rows() == [got]
    api.enqueue(status=529, error="Overloaded")
    failed = httpx.post(f"{address}/query", json=ASKED, timeout=60)
    assert failed.status_code == 503
    assert "overloaded" in failed.json()["detail"]
    assert [row["status"] for row in rows()] == [200, 503]
    assert httpx.post(f"{address}/query", json={"question": ""}).status_code == 422
    summary = httpx.get(f"{address}/telemetry").json()
    assert (summary["calls"], summary["errors"], summary["input_tokens"]) == (2, 1, 100)
    settings = minimal.app.state.settings
    minimal.app.state.settings = settings.model_copy(update={"model": "qwen3:4b", "base_url": address})
    api.enqueue("Every year [1].")  # a model of one's own server may have any name; its price is unknown
    assert httpx.post(f"{address}/query", json=ASKED, timeout=60).json()["usd"] is None
