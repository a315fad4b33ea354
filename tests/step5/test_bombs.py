"""Uploads made to cost hours or gigabytes: each is refused in one line, while questions are answered."""

import asyncio
import functools
import os

import pytest

from tests.step3.bombs import BOMBS
from tests.step5.service_parts import app_of, error_of, operator_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows doesn't limit memory")
QUESTION = {"question": "How long is the notice of the supply contract?"}


def in_loop(test):
    """Decorator for a test that is a coroutine and may take two minutes."""

    @functools.wraps(test)
    def run(*args):
        asyncio.run(asyncio.wait_for(test(*args), 120))

    return run


def form(name):
    make, _ = BOMBS[name]
    return {"files": {"files": (name, make())}}


@pytest.fixture
def client(rag, tmp_path):
    return operator_of(app_of(rag(reader="quote").answerer, reader="quote"), tmp_path)


# One that is refused at once, one that runs out of time, one that needs gigabytes; step 3's tests read all.
@pytest.mark.parametrize("name", ["aliases.md", "wide.csv", "paragraphs.docx"])
def test_a_bomb_is_refused_while_questions_are_answered(client, name):
    @in_loop
    async def upload():
        sent = asyncio.ensure_future(client.post("/ingest", **form(name)))
        answered = 0
        while not sent.done():
            answered += (await client.post("/query", json=QUESTION)).status_code == 200
        kind, message = error_of(sent.result())
        assert (sent.result().status_code, kind) == (400, "invalid_request_error")
        assert message.startswith(f"{name}: {BOMBS[name][1]}")
        assert answered
        text = {"files": {"files": ("owls.md", b"# Owls\n\nThey hunt at night.")}}
        assert (await client.post("/ingest", **text)).status_code == 200

    upload()
