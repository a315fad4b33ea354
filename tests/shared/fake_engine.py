"""In place of a model, in the tests of the embedded backend: an engine and a tool chooser with a script."""

import dataclasses

from shared import models
from shared.config import load_settings
from shared.embedded.backend import Backend
from shared.embedded.calls import ToolCall
from shared.embedded.engine import Generation, StopStrings


class FakeEngine:
    """Says `says` piece by piece, whatever it is asked; one token a piece. `asked` has what it was given."""

    name = "fake"

    def __init__(self, *says, context=2048, cached=0, fails=None):
        self.says, self.context, self.cached, self.fails = list(says), context, cached, fails
        self.tokenizer = models.load_tokenizer("tiny")
        self.asked, self.generated, self.closed = [], 0, 0

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def generate(self, prompt, max_tokens, *, stop=(), schema=None):
        self.asked.append({"prompt": self.tokenizer.decode(prompt), "stop": list(stop), "schema": schema})

        def run(done):
            stops = StopStrings(stop)
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
                    yield stops.add(piece)
                    if stops.found:
                        done.stop_reason, done.stop_sequence = "stop_sequence", stops.found
                        return
                yield stops.rest()
            finally:
                self.closed += 1

        return Generation(run)


class FakeCaller:
    """Finds the calls of its script; `asked` has what it was given."""

    def __init__(self, *calls):
        self.found, self.asked = [ToolCall(name, dict(given)) for name, given in calls], []

    def calls(self, question, tools, choice=None, earlier=()):
        self.asked.append({"question": question, "tools": tools, "choice": choice, "earlier": earlier})
        if choice and choice.get("disable_parallel_tool_use"):
            return self.found[:1]
        return self.found


@dataclasses.dataclass
class Fake:
    """A backend on fakes, and the fakes."""

    engine: FakeEngine
    caller: FakeCaller
    backend: Backend


def fake_backend(*says, calls=(), **options):
    engine, caller = FakeEngine(*says, **options), FakeCaller(*calls)
    return Fake(engine, caller, Backend(load_settings(model="tiny"), engine, caller))
