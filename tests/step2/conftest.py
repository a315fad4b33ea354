"""The scripted API in the place of the model, for commands."""

import pytest

from tests.scripted import ScriptedMessages


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr("anthropic._base_client.INITIAL_RETRY_DELAY", 0.0)
    api = ScriptedMessages()
    monkeypatch.setattr("shared.chat.client.chat_client", lambda *_args, **_more: api.client)
    return api
