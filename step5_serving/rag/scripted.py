"""An answerer without a model: a fixed passage, a fixed answer. For tests, and to measure the API itself.

>>> call = Call("query", 200)
>>> await ScriptedAnswerer().answer(Query(question="How long?"), call)
>>> call.answer
'It renews for two years unless a party gives 90 days notice. [1]'
"""

import re
from dataclasses import asdict
from typing import Any

from step5_serving.seam import Attempt, Query, Source, Tell, nothing, sha256_of
from step5_serving.telemetry.call import Call
from step5_serving.telemetry.prices import Spent, cost_of
from step5_serving.telemetry.versions import version_of

TEXT = "This agreement renews for two years unless a party gives 90 days notice."
ANSWER = "It renews for two years unless a party gives 90 days notice. [1]"
SHA256 = sha256_of(TEXT)
SOURCE = Source(1, "contracts/supply-brightwell.md", "Renewal", TEXT, 1, SHA256)
PROMPTS = {version: f"Answer from the sources, version {version}." for version in (1, 2)}


class ScriptedAnswerer:
    """Gives everybody the same answer."""

    text = ANSWER
    input_tokens: int | None = 164
    model = engine = "scripted"
    library: Any = None

    async def answer(self, query: Query, call: Call, tell: Tell = nothing) -> None:
        """Like RagAnswerer's."""
        version = query.prompt_version or 1
        text = version_of(PROMPTS, version)
        search = Attempt("question", query.question, 0.97, True, call.queue_ms, 4.0, 1.5)
        found = {"sources": [asdict(SOURCE)], "confidence": 0.97, "attempts": [asdict(search)]}
        vars(call).update(found)
        tell("retrieved", found)
        call.input_tokens, call.output_tokens = self.input_tokens, 18
        call.cost_usd = cost_of(self.model, call.input_tokens, call.output_tokens)
        await self._write(tell)
        call.answer, call.abstained, call.finish_reason = self.text, False, "end_turn"
        call.retrieve_ms, call.rerank_ms, call.generate_ms = 4.0, 1.5, 20.0
        call.prompt_id, call.prompt_version, call.prompt_text = "answer", version, text
        call.prompt_sha256 = sha256_of(text)
        call.parameters = {"k": query.k, "collection": query.collection, "reader": "chat"}

    async def _write(self, tell: Tell) -> None:
        """Without a pause, so that only the API's own time is measured."""
        for piece in re.findall(r"\S+\s*", self.text):
            tell("delta", {"text": piece})

    def most_tokens(self) -> Spent:
        """Like RagAnswerer's."""
        return Spent(164, 18)

    async def ready(self) -> str | None:
        return None

    async def close(self) -> None:
        """There is nothing to close."""
