"""Prompt lookup: several tokens for one forward pass, and the same text."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import jsonschema
import pytest

from step5_serving.engines.batching import scheduler
from step5_serving.engines.batching.lookup import PromptLookup
from tests.step5.batch_parts import SCHEMA, SENTENCES, count_tokens, write

ASKED = [*SENTENCES[:5], *(f"{first} {SENTENCES[4]}" for first in SENTENCES[:3])]


class Oracle:
    """Proposes what was generated without lookup, up to a random token, and then random ones."""

    future: ClassVar[dict[tuple[int, ...], list[int]]] = {}

    def __init__(self, prompt):
        self._prompt, self._chance = prompt, random.Random(len(prompt))

    def propose(self, token_ids, most):
        written = len(token_ids) - len(self._prompt)
        right = self.future[tuple(self._prompt)][written : written + self._chance.randrange(most + 1)]
        return [*right, *(self._chance.randrange(512) for _ in range(most - len(right)))]


@pytest.fixture
def both(make, monkeypatch):
    """Texts and numbers of decode steps without lookup, and with an oracle in its place."""

    def ask(asked, together=4, end=None, **options):
        found = []
        for lookup in (0, 5):
            engine = make(together, lookup=lookup, chunk=16, **options)
            if end is not None:
                engine.ends = frozenset({end})
            sequences, add = [], engine.core.add
            engine.core.add = lambda each, add=add, sequences=sequences: (sequences.append(each), add(each))
            sizes = count_tokens(engine)
            with ThreadPoolExecutor(together) as pool:
                texts = list(pool.map(lambda each, engine=engine: write(engine, each[0], **each[1]), asked))
            found.append((texts, len(sizes)))
            Oracle.future = {tuple(each.prompt): [*each.output, *engine.ends, 5, 6] for each in sequences}
            monkeypatch.setattr(scheduler, "PromptLookup", Oracle)
            monkeypatch.setattr(scheduler, "CHEAP", 40)  # room for several at once
        return found

    return ask


def test_what_followed_the_last_tokens_in_the_prompt_is_proposed():
    lookup = PromptLookup([1, 2, 3, 4, 1, 2, 9])
    assert lookup.propose([1, 2], 3) == [3, 4, 1]  # the first place counts
    assert lookup.propose([7, 2, 9], 3) == []  # nothing follows there
    assert lookup.propose([2], 3) == lookup.propose([5, 5], 3) == []
    assert lookup.propose([7, 3, 4], 9) == [1, 2, 9]


@pytest.mark.parametrize(("together", "prefix_cache"), [(1, False), (4, True)])
def test_greedy_texts_are_the_same_in_fewer_steps(both, alone, together, prefix_cache):
    """Token for token, several together, and as the engine of the other steps writes them."""
    asked = [(each, {"limit": 30}) for each in ASKED]
    (without, slow), (with_it, fast) = both(asked, together, prefix_cache=prefix_cache)
    assert with_it == without == [alone(each, 30) for each in ASKED]
    assert fast < 0.6 * slow


def test_limits_and_schemas_beside_it(both, alone):
    """A limit may fall among accepted tokens: those after it don't count. A guide chooses for itself."""
    asked = [(each, {"limit": 3 + n}) for n, each in enumerate(ASKED)]
    asked += [(each, {"limit": 60, "schema": SCHEMA}) for each in SENTENCES[:4]]
    (without, _), (with_it, _) = both(asked)
    assert with_it == without == [alone(each, **more) for each, more in asked]
    assert "max_tokens" in {reason for _, reason, _ in with_it[: len(ASKED)]}
    for text, reason, _ in with_it[len(ASKED) :]:
        assert reason == "end_turn"
        jsonschema.validate(json.loads(text), SCHEMA)


def test_an_end_among_accepted_tokens(both, make):
    engine = make(lookup=0)
    text = engine.generate(engine.encode(ASKED[0]), 20)
    end = engine.encode("".join(text))[-3]
    (without, _), (with_it, _) = both([(each, {"limit": 30}) for each in ASKED], end=end)
    assert with_it == without
    assert "end_turn" in {reason for _, reason, _ in with_it}


def test_proposals_take_the_room_that_a_step_has_left_and_none_when_off(make, monkeypatch):
    monkeypatch.setattr(scheduler, "CHEAP", 6)
    engine = make(lookup=20)
    sizes = count_tokens(engine)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: write(engine, each * 3), ASKED))
    assert max(sizes) == 6
    engine = make(lookup=0)
    sizes = count_tokens(engine)
    write(engine, ASKED[0] * 3)
    assert set(sizes) == {1}
