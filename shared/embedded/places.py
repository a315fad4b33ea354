"""Where a city lies, as far as the model knows: its state by two letters, or its country.

    >>> places = Places(lm)
    >>> places.around("Tel Aviv"), places.around("Chicago")
    ('Israel', 'IL')

Some tools want "Tel Aviv, Israel" where a question has only "Tel Aviv". A small model has read that often
enough for large cities. It may choose among the countries (Unicode CLDR) and all pairs of capitals; where
nothing is clearly ahead of the rest, the answer is None. It is the one value that doesn't come from the
question's words, and it can be wrong: Lang Son, in Vietnam, comes out as in China.
"""

from __future__ import annotations

from functools import cache, cached_property
from itertools import product
from string import ascii_uppercase

from shared.embedded.likelihood import Likelihood, Node, Place, Prefix

SHOTS = """Cities with their state or country:
Denver, CO
Paris, France
Miami, FL
Tokyo, Japan
Boston, MA
Cairo, Egypt
"""
TRIED = 6  # names that are weighed to their end
SURE, AHEAD = -1.35, 1.5  # log-probability from which the best one counts; nats before the next one

REMEMBERED = 1000  # cities


class Places:
    """Reads the examples once, and remembers the cities it was asked for."""

    def __init__(self, lm: Likelihood) -> None:
        self.lm = lm
        self._known: dict[str, str | None] = {}

    @cached_property
    def _examples(self) -> Prefix:
        return self.lm.read(SHOTS)

    @cached_property
    def _first(self) -> dict[str, int]:
        """The first token of each name."""
        return {name: self.lm.encode(f" {name}")[0] for name in (*_countries(), *_codes())}

    def around(self, city: str) -> str | None:
        """The state or country that the city lies in; None where the model isn't sure."""
        if city not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[city] = self._around(city)
        return self._known[city]

    def _around(self, city: str) -> str | None:
        head = Node(self.lm.encode(f"{city},"))
        firsts: list[list[Place]] = [[(head, len(head.ids) - 1, token)] for token in self._first.values()]
        begun = [each[0] for each in self._examples.logprobs([head], firsts)]
        names = [name for _, name in sorted(zip(begun, self._first, strict=True), reverse=True)[:TRIED]]
        nodes = [Node(self.lm.encode(f" {name}\n"), head) for name in names]
        scores = [sum(each) for each in self._examples.logprobs([head, *nodes], [n.path() for n in nodes])]
        (best, name), (second, _) = sorted(zip(scores, names, strict=True), reverse=True)[:2]
        return name if best > SURE and best - second > AHEAD else None


@cache
def _countries() -> tuple[str, ...]:
    """Names of countries; for cities of the United States, the state is asked for."""
    from babel import Locale

    named = Locale("en").territories.items()
    return tuple(name for code, name in named if code.isalpha() and len(code) == 2 and code != "US")


def _codes() -> list[str]:
    return ["".join(pair) for pair in product(ascii_uppercase, repeat=2) if pair != ("U", "S")]
