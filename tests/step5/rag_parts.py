"""Step 3's five documents with an embedder that loads nothing, and an engine that is a script."""

import asyncio
import shutil
import threading
from types import SimpleNamespace

import anthropic
import httpx2
import pytest

from shared.config import load_settings
from shared.errors import UserError
from step3_rag import service
from step5_serving.config import Config
from step5_serving.rag.answers import RagAnswerer
from step5_serving.rag.loading import prompts_folder
from step5_serving.telemetry.versions import Versions
from tests.scripted import ScriptedMessages, events
from tests.step3.conftest import FakeEmbedder, made_once  # noqa: F401  (a fixture)

ALWAYS = {"threshold": 0.0, "strategies": ()}  # whatever the confidence: the fake embedder knows no meaning
NOTICE = "Notice is 60 days"


class FakeServing:
    """An engine whose client answers from a script."""

    backend = None
    model = name = "scripted"

    def __init__(self, client=None):
        self.settings = load_settings(base_url="http://127.0.0.1:9", model="scripted")
        self.api = ScriptedMessages(max_retries=0)
        self.given, self.closed, self.ill = client, False, None

    def client(self):
        return self.given or self.api.client

    def warm_up(self):
        if self.ill:
            raise UserError(self.ill)

    trouble = warm_up

    def close(self):
        self.closed = True


class Trickle(httpx2.SyncByteStream):
    """An answer of many words, slowly; says when it was closed."""

    def __init__(self, words=500, pace=0.01):
        self.words, self.pace, self.sent, self.closed = words, pace, 0, threading.Event()

    def __iter__(self):
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": [],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": self.words},
        }
        whole = list(events({**message, "content": [{"type": "text", "text": "x"}]}))
        delta = next(each for each in whole if each["type"] == "content_block_delta")
        for each in whole[:2]:
            yield _sent(each)
        for _ in range(self.words):
            self.closed.wait(self.pace)
            self.sent += 1
            yield _sent({**delta, "delta": {"type": "text_delta", "text": "word "}})
        for each in whole[-3:]:
            yield _sent(each)

    def close(self):
        self.closed.set()


def _sent(event):
    import json

    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def trickling(stream):
    """A client whose every answer is that stream."""
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, headers=headers, stream=stream))
    return anthropic.Anthropic(
        api_key="x", base_url="http://x.invalid", http_client=httpx2.Client(transport=transport)
    )


@pytest.fixture
def index_home(tmp_path, made_once):  # noqa: F811
    """A copy of the index, to be changed."""
    return shutil.copytree(made_once, tmp_path / "home")


@pytest.fixture
def fake_embedder(monkeypatch):
    """Services use one that loads nothing."""
    fake = FakeEmbedder()
    monkeypatch.setattr(service, "Embedder", lambda _settings: fake)
    return fake


@pytest.fixture
def rag(index_home, fake_embedder):
    """Makes answerers on the index; `rag(client=..., running=3)`."""
    made = []

    def make(client=None, **config):
        serving = FakeServing(client)
        given = {**ALWAYS, "index": index_home, "running": 4, **config}
        versions = Versions.of(prompts_folder(), "answer")
        answerer = RagAnswerer(Config(engine="scripted", **given), serving, versions)
        made.append(answerer)
        return SimpleNamespace(answerer=answerer, serving=serving, api=serving.api, home=index_home)

    yield make
    for each in made:
        asyncio.run(each.close())
