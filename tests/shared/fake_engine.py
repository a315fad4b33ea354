"""A scripted engine in place of a model, for the tests of the embedded backend."""

from types import SimpleNamespace

from shared import models
from shared.config import load_settings
from shared.embedded.backend import Backend
from shared.embedded.engine import Generation
from shared.embedded.prompt import ToolCall, calls_as_text

TOOL = {
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class FakeEngine:
    """Writes the pieces of `says`, one token each, to any prompt, and `calls` where calls are wanted.

    `asked` and `asked_calls` hold what it was given.
    """

    def __init__(self, *says, calls=(), context=2048, cached=0, fails=None):
        self.says = list(says)
        self.calls = [ToolCall(*call) for call in calls]
        self.context, self.cached, self.fails = context, cached, fails
        self.tokenizer = models.load_tokenizer("tiny")
        self.asked, self.asked_calls, self.generated, self.closed = [], [], 0, 0

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def _write_calls(self, done):
        text = calls_as_text(self.calls)
        done.output_tokens = len(self.encode(text))
        yield text

    def generate(self, prompt, max_tokens, *, schema=None, adapter=False):
        asked = {"prompt": self.tokenizer.decode(prompt), "schema": schema}
        if schema and schema["type"] == "array" and adapter:
            self.asked_calls.append(asked)
            return Generation(self._write_calls)
        self.asked.append({**asked, "adapter": adapter})

        def run(done):
            done.cached_tokens = self.cached
            try:
                for piece in self.says:
                    if done.output_tokens == max_tokens:
                        done.stop_reason = "max_tokens"
                        return
                    done.output_tokens += 1
                    self.generated += 1
                    if self.fails and self.generated > 1:
                        raise self.fails
                    yield piece
            finally:
                self.closed += 1

        return Generation(run)


def fake_backend(*says, **options):
    """A `backend` on a fake, and the fake `engine`."""
    engine = FakeEngine(*says, **options)
    return SimpleNamespace(engine=engine, backend=Backend(load_settings(model="tiny"), engine))
