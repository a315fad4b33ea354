"""What `bench` asks: three kinds of requests.

    open    a piece of a text to go on with: long answers, no two prompts begin alike
    rag     step 3's prompt: the same instructions, the sections of a document, one question of several on it
    quote   a request to copy a document: answers that repeat their prompt

Texts begin with a number that is drawn without a seed: a server that was asked the same before may still have
it in its cache. In `rag` there are REPEATED questions in a row on each such document, in a random order, so
the first of them finds only the instructions in a prefix cache.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.config import Settings
from shared.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerBase

    from step5_serving.bench.load import Body

READING = Path(__file__).parents[1] / "sample" / "reading.txt"
GO_ON = "Go on with this text, at length:\n\n"
COPY = "Repeat this text word for word: "
KINDS = ("open", "rag", "quote")
REPEATED = 4  # questions on each document
FIRST_SOURCE = 60  # words


class Prompts:
    """Requests of `input_tokens` at most, which may be answered with `output_tokens` at most."""

    def __init__(self, settings: Settings, kind: str, input_tokens: int, output_tokens: int) -> None:
        from shared.models import load_tokenizer

        self._tokenizer: PreTrainedTokenizerBase = load_tokenizer(settings=settings)
        self._words = READING.read_text(encoding="utf-8").split()
        self._random = random.Random()
        self._kind, self._most = kind, input_tokens
        self._request = {"model": settings.model, "max_tokens": output_tokens}
        self._system: str | None = None
        if kind == "rag":
            from shared import prompts
            from step3_rag import PROMPTS

            loaded = prompts.load(PROMPTS, "answer", family=prompts.family_of(settings.model))
            self._system = str(prompts.render(loaded)["system"])
        self._documents = [] if kind == "open" else _documents()

    def next(self, n: int) -> list[Body]:
        """So many further ones."""
        one = {"open": self._go_on, "quote": self._copy, "rag": self._questions}[self._kind]
        bodies = list[Any]()
        while len(bodies) < n:
            bodies += one()
        bodies = bodies[:n]
        self._random.shuffle(bodies)
        return bodies

    def _go_on(self) -> list[Body]:
        start = self._random.randrange(len(self._words))
        words = [*self._words[start:], *self._words[:start]]
        return [self._longest(words, lambda words: GO_ON + " ".join(words))]

    def _copy(self) -> list[Body]:
        _, text, _ = self._random.choice(self._documents)
        return [self._longest(text.split(), lambda words: COPY + " ".join(words))]

    def _questions(self) -> list[Body]:
        """Several questions on the same document, whose first words are source 1 and the others source 2."""
        from step3_rag.answer.context import Source, as_text

        name, text, questions = self._random.choice(self._documents)
        asked = self._random.sample(questions, REPEATED)

        def sources(words: list[str]) -> str:
            parts = [" ".join(words[:FIRST_SOURCE]), " ".join(words[FIRST_SOURCE:])]
            return as_text([Source(n, name, name, part, (n,)) for n, part in enumerate(parts, 1) if part])

        longest = max(asked, key=self._tokens)
        body = self._longest(text.split(), lambda words: f"{sources(words)}\n\nQuestion: {longest}")
        before, _, _ = str(body["messages"][0]["content"]).rpartition(longest)
        return [{**body, "messages": [{"role": "user", "content": before + each}]} for each in asked]

    def _longest(self, words: list[str], turn: Callable[[list[str]], str]) -> Body:
        """The request with the most of the words that fits, a number before them.

        Raises:
            UserError: not even one word does.
        """
        words = [f"({self._random.randrange(10**6)})", *words]
        few, many = 1, len(words) + 1
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (middle, many) if self._tokens(turn(words[:middle])) <= self._most else (few, middle)
        if few == 1:
            raise UserError(f"--input-tokens {self._most} holds no prompt: use more")
        system = {"system": self._system} if self._system else {}
        return {**self._request, **system, "messages": [{"role": "user", "content": turn(words[:few])}]}

    def _tokens(self, content: str) -> int:
        turns = [{"role": "system", "content": self._system}] if self._system else []
        turns.append({"role": "user", "content": content})
        text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return len(self._tokenizer.encode(str(text), add_special_tokens=False))


def _documents() -> list[tuple[str, str, list[str]]]:
    """Step 3's sample documents with enough questions on them: name, text, questions."""
    import step3_rag

    sample = Path(step3_rag.__file__).with_name("sample")
    questions = defaultdict(list)
    for line in (sample / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for relevant in row["relevant"][:1]:
            questions[relevant["doc"]].append(row["text"])
    return [
        (name, (sample / "documents" / name).read_text(encoding="utf-8"), asked)
        for name, asked in sorted(questions.items())
        if len(asked) >= REPEATED
    ]
