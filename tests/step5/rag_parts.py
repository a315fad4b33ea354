"""Step 3's five test documents with a fake embedder and a scripted engine."""

import shutil
from types import SimpleNamespace

import pytest

from shared.config import load_settings
from step3_rag import PROMPTS
from step5_serving.config import Config
from step5_serving.engines.engine import Engine
from step5_serving.rag.answers import RagAnswerer
from step5_serving.telemetry.versions import Versions
from tests.scripted import ScriptedMessages
from tests.step3.conftest import fake, made_once  # noqa: F401  (fixtures)
from tests.step5.service_parts import run_for

ALWAYS = {"threshold": 0.0, "strategies": "none"}  # the fake embedder gives no useful confidence
NOTICE = "Notice is 60 days"


class FakeServing(Engine):
    """An engine that answers from a script, or a StandInEngine."""

    def __init__(self, api=None, server=None):
        address = server.address if server else "http://127.0.0.1:9"
        super().__init__("scripted", load_settings(base_url=address, model="scripted"))
        self.api, self.server, self.closed = api or ScriptedMessages(max_retries=0), server, False

    def client(self):
        return super().client() if self.server else self.api.client

    def trouble(self):
        return super().trouble() if self.server else None

    def close(self):
        self.closed = True


@pytest.fixture
def index_home(tmp_path, made_once):  # noqa: F811
    """A copy of the index."""
    return shutil.copytree(made_once, tmp_path / "home")


@pytest.fixture
def rag(index_home, fake):  # noqa: F811
    """Makes answerers on the index: `rag(server=..., running=3)`."""
    made = []

    def make(server=None, **config):
        serving = FakeServing(server=server)
        given = {**ALWAYS, "index": index_home, "running": 4, **config}
        versions = Versions.of(PROMPTS, "answer")
        answerer = RagAnswerer(Config(engine="scripted", **given), serving, versions)
        made.append(answerer)
        return SimpleNamespace(answerer=answerer, serving=serving, api=serving.api, home=index_home)

    yield make
    for each in made:
        run_for(each.close())
        assert each.serving.closed
