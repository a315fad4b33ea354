"""The engine llamacpp: llama.cpp's own server as a child, what it needs, what it writes."""

import httpx
import pytest

from shared.config import load_settings
from shared.errors import UserError
from shared.models import weights
from step5_serving.config import Options
from step5_serving.engines.engine import EngineProcess
from step5_serving.engines.llamacpp import serve_gguf

pytest.importorskip("xllamacpp", reason="the extra llamacpp is not installed")


def test_without_a_gguf_or_with_a_damaged_one(tmp_path):
    settings, source = load_settings(model="tiny"), weights.ensure("tiny")
    with pytest.raises(UserError, match="tiny has no GGUF for engine llamacpp: use engine torch"):
        serve_gguf(settings, 1, 1)
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "model.gguf").write_bytes(b"GGUFnothing")
    with pytest.raises(UserError, match="cannot be loaded from"):
        serve_gguf(load_settings(model=str(tmp_path)), 1, 1)


@pytest.mark.real
def test_it_answers_streams_and_lets_nobody_in():
    engine = EngineProcess("llamacpp", load_settings(), Options(2))
    try:
        engine.warm_up()
        assert httpx.post(f"{engine.settings.base_url}/v1/messages", json={}).status_code == 401
        client = engine.client()
        asked = {"model": engine.model, "max_tokens": 40}
        question = [{"role": "user", "content": "What is the capital of France?"}]
        said = client.messages.create(**asked, messages=question)
        assert "Paris" in said.content[0].text
        assert (said.stop_reason, said.model) == ("end_turn", engine.model)
        with client.messages.stream(**asked, messages=question) as stream:
            assert len(list(stream.text_stream)) > 3
            again = stream.get_final_message()
        assert again.content[0].text == said.content[0].text
        assert again.usage.output_tokens == said.usage.output_tokens
        story = [{"role": "user", "content": "Tell me a story."}]
        short = client.messages.create(model=engine.model, max_tokens=5, messages=story)
        assert short.stop_reason == "max_tokens"
    finally:
        engine.close()
