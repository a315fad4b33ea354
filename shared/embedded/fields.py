"""Which words of a question fill a field? The probability of every span, as if the model filled in a form.

    >>> form = Form(lm, "how warm is it in new york right now")
    >>> form.best("city (The city to look in)")
    'new york'

A free-running 135M model invents values. Here it may only choose: each span of the question is scored as
the rest of the line "city (The city to look in):", line break included, so that "new" pays for not being
"new york".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from shared.embedded.likelihood import Likelihood, Node, Place, Prefix
from shared.embedded.places import Places
from shared.embedded.quantities import Quantity, quantities
from shared.embedded.words import Span, quotations, word_spans

# Three filled-in forms show what is wanted: copy, keep names whole, leave out what was not said.
SHOTS = """Fill in the fields with words of the text.

Text: Could you book a table for four at Luigi's Trattoria in Milan on Friday evening?
restaurant (Name of the restaurant): Luigi's Trattoria
city (The city to look in): Milan
guests (How many people come): four
phone (Phone number of the guest): not given
day (The day of the reservation): Friday

Text: how much is the train from berlin to new york city for 2 adults, second class
origin (Where the journey starts): berlin
destination (Where the journey ends): new york city
class (Class of travel): second class
seat (Preferred seat): not given
passengers (Number of travellers): 2

Text: Order a pizza with ham, olives and fresh basil, and add 'Happy Birthday, Tom!' as a note.
toppings (List of toppings): ham, olives and fresh basil
note (Message on the box): Happy Birthday, Tom!
size (Size of the pizza): not given

"""
NOT_GIVEN = " not given\n"
LONGEST = 10  # words of a span; a quotation may be longer
MARKS = 20  # quotations, and numbers, at which one may begin besides
STARTS = 6  # words at which a span may begin, most probable first


@dataclass(frozen=True)
class Scored:
    """A span, log P(span, line break | field) and log P(span | field)."""

    span: Span
    ended: float
    open: float


class Form:
    """A question that has been read once, behind the filled-in examples."""

    def __init__(
        self,
        lm: Likelihood,
        examples: Prefix,
        question: str,
        corrected: str = "",
        original: str = "",
        places: Places | None = None,
    ) -> None:
        """`question` is what the model reads; `corrected` is without misspellings, `original` as typed.

        `places` says where cities lie; without it, no state or country is added to them.
        """
        self.places = places
        self.lm, self.question, self.corrected = lm, question, corrected or question
        self.original = original if len(original) == len(question) else question
        self._examples = examples
        self.words = word_spans(question)
        self.ids = [lm.encode(" " + question[start:end]) for start, end in self.words]
        self.line_break = lm.encode("\n")[0]

    @cached_property
    def prefix(self) -> Prefix:
        """The question as the model has read it, when it is first asked."""
        return self.lm.read(f"Text: {self.question.strip()}\n", after=self._examples)

    @cached_property
    def quantities(self) -> list[Quantity]:
        """All numbers in the question."""
        return quantities(self.question)

    @cached_property
    def quotations(self) -> list[Span]:
        """What stands in quotation marks."""
        return quotations(self.question)

    def _between(self, i: int) -> str:
        """The punctuation between word i and the next."""
        end = self.words[i + 1][0] if i + 1 < len(self.words) else len(self.question)
        return "".join(self.question[self.words[i][1] : end].split())

    def score(self, fields: list[str]) -> list[tuple[list[Scored], float]]:
        """Per field: its most probable spans, best first, and log P("not given")."""
        headers = [Node(self.lm.encode(f"{field}:")) for field in fields]
        if not self.words:
            return [([], 0.0) for _ in fields]
        self.prefix.keep(headers)
        firsts: list[list[Place]] = [
            [(header, len(header.ids) - 1, ids[0]) for ids in self.ids] for header in headers
        ]
        first = self.prefix.logprobs([], firsts)
        nodes: list[Node] = []
        wanted: list[list[Place]] = []
        spans: list[tuple[int, list[tuple[int, Span]], int]] = []
        for k, header in enumerate(headers):
            absent = Node(self.lm.encode(NOT_GIVEN), header)
            nodes.append(absent)
            wanted.append(absent.path())
            spans.append((k, [], len(absent.ids)))
            for i in sorted(self._starts(first[k])):
                ids, ends = self._from(i)
                node = Node(ids, header)
                nodes.append(node)
                wanted.append(node.path() + [(node, n - 1, self.line_break) for n, _ in ends])
                spans.append((k, [(n, (self.words[i][0], end)) for n, end in ends], len(ids)))
        found: list[list[Scored]] = [[] for _ in fields]
        absence = [0.0] * len(fields)
        for (k, ends, length), logprobs in zip(spans, self.prefix.logprobs(nodes, wanted), strict=True):
            if not ends:
                absence[k] = sum(logprobs)
            for z, (n, span) in enumerate(ends):
                so_far = sum(logprobs[:n])
                found[k].append(Scored(span, so_far + logprobs[length + z], so_far))
        return [(sorted(each, key=lambda s: -s.ended), a) for each, a in zip(found, absence, strict=True)]

    def choose(self, field: str, options: list[str]) -> list[float]:
        """log P(option | field) for values that need not stand in the question."""
        return self.prefix.score([f"{field}: {option}\n" for option in options])

    def _starts(self, first: list[float]) -> set[int]:
        starts = set(sorted(range(len(self.words)), key=lambda i: -first[i])[:STARTS])
        marks = [q[0] for q in self.quotations[:MARKS]] + [n.span[0] for n in self.quantities[:MARKS]]
        return starts | {
            i for i, (start, end) in enumerate(self.words) if any(start <= m < end for m in marks)
        }

    def _from(self, i: int) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids from word i on, and where spans may end: (number of ids, character offset)."""
        start = self.words[i][0]
        quoted = next((q for q in self.quotations if q[0] == start), None)
        ids: list[int] = []
        ends = []
        for j in range(i, len(self.words)):
            if (quoted and self.words[j][0] >= quoted[1]) or (not quoted and j - i >= LONGEST):
                break
            ids = ids + self.ids[j]
            is_last = quoted and (j + 1 == len(self.words) or self.words[j + 1][0] >= quoted[1])
            ends.append((len(ids), quoted[1] if quoted and is_last else self.words[j][1]))
            between = self._between(j)
            if not quoted and between.rstrip("\"')”’")[-1:] in tuple(".?!;:"):
                break
            if between:
                ids = ids + self.lm.encode(between)
        return ids[: ends[-1][0]], ends
