"""What `bench` asks: three kinds of requests.

    open    a piece of a text to go on with: long answers, no two prompts begin alike
    rag     step 3's prompt: the same instructions, a passage, one of four questions on it
    quote   a request to copy a passage: answers that repeat their prompt

Texts begin with a number that is drawn without a seed: a server that was asked the same before may still have
it in its cache. In `rag` there are four questions in a row on each passage, in a random order, so the first
of them finds only the instructions in a prefix cache.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.config import Settings
from shared.errors import UserError

if TYPE_CHECKING:
    from step5_serving.bench.load import Body

READING = Path(__file__).parents[1] / "sample" / "reading.txt"
GO_ON = "Go on with this text, at length:\n\n"
COPY = "Repeat this text word for word: "
KINDS = ("open", "rag", "quote")
QUESTIONS = ("What is this about?", "Where does it take place?", "Who is named in it?", "What happens first?")


class Prompts:
    """Requests of `input_tokens` at most, which may be answered with `output_tokens` at most."""

    def __init__(self, settings: Settings, kind: str, input_tokens: int, output_tokens: int) -> None:
        from shared.models import load_tokenizer

        self._tokenizer: Any = load_tokenizer(settings=settings)
        self._words = READING.read_text(encoding="utf-8").split()
        self._random = random.Random()
        self._kind, self._most = kind, input_tokens
        self._request: Body = {"model": settings.model, "max_tokens": output_tokens}
        if kind == "rag":
            from shared import prompts
            from step3_rag import PROMPTS

            loaded = prompts.load(PROMPTS, "answer", family=prompts.family_of(settings.model))
            self._request["system"] = str(prompts.render(loaded)["system"])

    def next(self, n: int) -> list[Body]:
        """So many further ones."""
        bodies: list[Body] = []
        while len(bodies) < n:
            bodies += self._on_next_passage()
        bodies = bodies[:n]
        self._random.shuffle(bodies)
        return bodies

    def _on_next_passage(self) -> list[Body]:
        """One request on a piece of the text, or one for each question on it."""
        if self._kind == "rag":
            text = self._longest(lambda text: _with_question(text, max(QUESTIONS, key=self._tokens)))
            turns = [_with_question(text, question) for question in QUESTIONS]
        else:
            before = GO_ON if self._kind == "open" else COPY
            turns = [before + self._longest(lambda text: before + text)]
        return [{**self._request, "messages": [{"role": "user", "content": each}]} for each in turns]

    def _longest(self, turn: Callable[[str], str]) -> str:
        """A number and as many words of the text, from a random one on, as fit into the turn.

        Raises:
            UserError: not even one word does.
        """
        start = self._random.randrange(len(self._words))
        words = [f"({self._random.randrange(10**6)})", *self._words[start:], *self._words[:start]]

        def tokens(n: int) -> int:
            return self._tokens(turn(" ".join(words[:n])))

        n = bisect_right(range(len(words) + 1), self._most, key=tokens) - 1
        if n < 2:
            raise UserError(f"--input-tokens {self._most} holds no prompt: use more")
        return " ".join(words[:n])

    def _tokens(self, content: str) -> int:
        system = self._request.get("system")
        turns = [{"role": "system", "content": system}] if system else []
        turns.append({"role": "user", "content": content})
        text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return len(self._tokenizer.encode(str(text), add_special_tokens=False))


def _with_question(text: str, question: str) -> str:
    """The user's turn of step 3's prompt."""
    from step3_rag.answer.context import Source, as_text

    return f"{as_text([Source(1, 'reading.txt', 'reading.txt', text, (1,))])}\n\nQuestion: {question}"
