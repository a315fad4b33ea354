"""A likelihood that is computed once: for searches that put the same texts to the model again and again.

    >>> lm = Remembering(Likelihood(model, tokenizer))
    >>> Caller(lm, meaning, wording).calls(question, tools)          # seconds, the first time
    >>> Caller(lm, meaning, other_weights).calls(question, tools)    # milliseconds: no text is new
    >>> lm.computed, lm.asked
    (412, 824)

Texts and probabilities go in and out as with `Likelihood`. A prefix is read only when something that follows
it is not known yet. Everything is kept until the object goes: about 100 bytes for each text.
"""

from __future__ import annotations

import hashlib
from functools import cached_property

from shared.embedded.likelihood import Likelihood, Node, Place, Prefix


class Remembering(Likelihood):
    """`asked` and `computed` count log-probabilities of texts."""

    def __init__(self, lm: Likelihood) -> None:
        super().__init__(lm.model, lm.tokenizer)
        self.known: dict[bytes, list[float]] = {}
        self.asked = self.computed = 0

    def read(self, text: str, after: Prefix | None = None) -> Prefix:
        """What `Likelihood.read` gives, once it is needed."""
        if after is not None and not isinstance(after, _Later):
            raise TypeError("a prefix of another likelihood")
        return _Later(self, text, after)


class _Later(Prefix):
    """A prefix that is not read yet."""

    def __init__(self, lm: Remembering, text: str, after: _Later | None) -> None:
        self._lm, self._text, self._after = lm, text, after
        self.lm = lm
        self._said: tuple[str, ...] = (*(after._said if after else ()), text)
        self._kept: list[list[Node]] = []

    @cached_property
    def _prefix(self) -> Prefix:
        prefix = Likelihood.read(self._lm, self._text, self._after._prefix if self._after else None)
        for nodes in self._kept:
            prefix.keep(nodes)
        return prefix

    def keep(self, nodes: list[Node]) -> None:
        self._kept.append(nodes)
        if "_prefix" in self.__dict__:
            self._prefix.keep(nodes)

    def logprobs(self, nodes: list[Node], wanted: list[list[Place]]) -> list[list[float]]:
        keys = [self._key(each) for each in wanted]
        known, lm = self._lm.known, self._lm
        new = {key: each for key, each in zip(keys, wanted, strict=True) if key not in known}
        if new:
            needed = {id(node) for each in new.values() for node, *_ in each for node in _line(node)}
            found = self._prefix.logprobs([node for node in nodes if id(node) in needed], list(new.values()))
            known |= dict(zip(new, found, strict=True))
        lm.asked += len(keys)
        lm.computed += len(new)
        return [known[key] for key in keys]

    def _key(self, places: list[Place]) -> bytes:
        """Of a list of (node, i, token): what each token stands behind, and which it is."""
        lines = {id(node): [each.ids for each in _line(node)] for node, *_ in places}
        said = (
            self._said,
            list(lines.values()),
            [(list(lines).index(id(node)), i, t) for node, i, t in places],
        )
        return hashlib.blake2b(repr(said).encode(), digest_size=16).digest()


def _line(node: Node | None) -> list[Node]:
    """A node and its ancestors."""
    return [] if node is None else [node, *_line(node.parent)]
