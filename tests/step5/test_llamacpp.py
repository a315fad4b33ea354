"""The engine llamacpp: what it needs, what it writes, what it refuses."""

import urllib.error
import urllib.request

import pytest

from shared.config import load_settings
from shared.embedded.wire import Refused
from shared.errors import UserError
from shared.models import weights
from step5_serving.engines.llamacpp import LlamaCppEngine

pytest.importorskip("xllamacpp", reason="the extra llamacpp is not installed")


def test_without_a_gguf_or_with_a_damaged_one(tmp_path):
    settings, source = load_settings(model="tiny"), weights.ensure("tiny")
    with pytest.raises(UserError, match="tiny has no GGUF for engine llamacpp: use engine torch"):
        LlamaCppEngine.load(source, settings)
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    (tmp_path / "model.gguf").write_bytes(b"GGUFnothing")
    with pytest.raises(UserError, match="cannot be loaded from"):
        LlamaCppEngine.load(tmp_path, settings)


@pytest.mark.real
def test_it_answers_stops_and_lets_nobody_in():
    settings = load_settings()
    engine = LlamaCppEngine.load(weights.ensure(settings.model, settings), settings)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{engine._server.listening_address}/v1/models")  # loopback

    def ask(question, limit):
        prompt = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
        return engine.generate(engine.encode(prompt), limit)

    answer = ask("What is the capital of France?", 40)
    assert "Paris" in "".join(answer)
    assert (answer.stop_reason, answer.output_tokens) == ("end_turn", 7)
    again = ask("What is the capital of France?", 40)
    assert len(list(again)) > 3  # it streams
    assert again.cached_tokens > 10
    early = ask("Tell me a story.", 200)
    assert next(early)
    early.close()
    assert list(early) == []
    short = ask("Tell me a story.", 5)
    list(short)
    assert (short.output_tokens, short.stop_reason) == (5, "max_tokens")
    for more in ({"schema": {"type": "object"}}, {"adapter": True}):
        with pytest.raises(Refused, match="engine llamacpp takes no tools and no output_config"):
            engine.generate([5], 5, **more)
