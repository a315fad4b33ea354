"""What `bench` asks: three kinds of requests.

    open    a piece of a text to go on with: long answers, no two prompts begin alike
    rag     step 3's prompt: the same instructions, a passage, one of four questions about it
    quote   a request to copy a passage: answers that repeat their prompt

Texts begin with a number that is drawn without a seed, so that no server has them in its cache from an
earlier run. In `rag`, each passage gets four questions in a random order, so the first of them finds only the
instructions in a prefix cache.
"""

import random
from pathlib import Path
from typing import Any

from shared import prompts
from shared.config import Settings
from shared.errors import UserError
from shared.models import load_tokenizer
from step3_rag import PROMPTS
from step3_rag.answer.context import Source, as_text
from step5_serving.bench.load import Body

SEAMS = 2  # tokens that may be more where a piece of text is cut out and put in
READING = Path(__file__).parents[1] / "sample" / "reading.txt"
GO_ON = "Go on with this text, at length:\n\n"
COPY = "Repeat this text word for word: "
QUESTIONS = ("What is this about?", "Where does it take place?", "Who is named in it?", "What happens first?")


class Prompts:
    """Requests of up to `input_tokens`, to be answered with up to `output_tokens`."""

    def __init__(self, settings: Settings, kind: str, input_tokens: int, output_tokens: int) -> None:
        self._tokenizer: Any = load_tokenizer(settings=settings)
        self._ids = self._tokenizer.encode(READING.read_text(encoding="utf-8"), add_special_tokens=False)
        self._random = random.Random()
        self._kind, self._most = kind, input_tokens
        self._request: Body = {"model": settings.model, "max_tokens": output_tokens}
        if kind == "rag":
            loaded = prompts.load(PROMPTS, "answer", family=prompts.family_of(settings.model))
            self._request["system"] = str(prompts.render(loaded)["system"])

    def next(self, n: int) -> list[Body]:
        """The next `n` requests; raises UserError if `input_tokens` have no room for a text."""
        contents: list[str] = []
        while len(contents) < n:
            contents += self._about_next_text()
        bodies = [{**self._request, "messages": [{"role": "user", "content": each}]} for each in contents[:n]]
        self._random.shuffle(bodies)
        return bodies

    def _about_next_text(self) -> list[str]:
        """The user's turns about one piece of the text, as long as there is room for."""
        start, number = self._random.randrange(len(self._ids)), f"({self._random.randrange(10**6)})"
        room = self._most - SEAMS - max(map(self._tokens, self._turns(number)))
        if room < 2:
            raise UserError(f"--input-tokens {self._most} holds no prompt: use more")
        return self._turns(number + self._tokenizer.decode((self._ids[start:] + self._ids[:start])[:room]))

    def _turns(self, text: str) -> list[str]:
        """The user's turns about a text."""
        if self._kind == "open":
            return [GO_ON + text]
        if self._kind == "quote":
            return [COPY + text]
        sources = as_text([Source(1, "reading.txt", "reading.txt", text, (1,))])
        return [f"{sources}\n\nQuestion: {each}" for each in QUESTIONS]

    def _tokens(self, content: str) -> int:
        turns = [{"role": "user", "content": content}]
        if system := self._request.get("system"):
            turns.insert(0, {"role": "system", "content": system})
        return len(self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))
