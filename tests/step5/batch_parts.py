"""What the tests of the batcher share: the tiny model, engines, what one request at a time gives."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from shared import models
from shared.config import load_settings
from shared.embedded.on_transformers import TransformersEngine
from step5_serving.config import Options
from step5_serving.engines.batching.engine import BatchEngine
from step5_serving.engines.batching.llama import Llama
from step5_serving.engines.batching.weights import Weights

SENTENCES = [
    "The sea was calm.",
    "Ten cats sat on a wall",
    "café 日本語 🙂 naïve",
    "def f(x):\n    return x",
    "Once upon a time there was a king who had three sons, and the youngest of them was called Dummling.",
    "1 2 3 4 5 6 7 8",
    "a",
]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "mood": {"enum": ["good", "bad"]}},
    "required": ["name", "mood"],
    "additionalProperties": False,
}


@pytest.fixture(scope="session")
def tiny_settings(tiny_cache):
    """The settings of the tiny model."""
    return load_settings(model="tiny", device="cpu", dtype="float32", threads=1, cache_dir=tiny_cache)


@pytest.fixture(scope="session")
def loaded(tiny_settings):
    """Model and tokenizer, by transformers."""
    return models.load_causal_lm(settings=tiny_settings), models.load_tokenizer(settings=tiny_settings)


@pytest.fixture(scope="session")
def tiny_weights(tiny_settings):
    """The same model, as the batcher reads it."""
    return Weights.read(tiny_settings)


@pytest.fixture(scope="session")
def alone(loaded):
    """What each sentence leads to, one at a time, by the engine that every other step uses."""
    engine, known = TransformersEngine(*loaded), {}

    def ask(sentence, limit=40, **kwargs):
        key = sentence, limit, repr(kwargs)
        if key not in known:
            known[key] = write(engine, sentence, limit, **kwargs)
        return known[key]

    return ask


@pytest.fixture
def make(loaded, tiny_weights):
    """Engines of the tiny model."""

    def new(rows=4, places=1024, **options):
        return BatchEngine(Llama(tiny_weights), loaded[1], Options(rows, places=places, **options))

    return new


@pytest.fixture
def endless(monkeypatch):
    """Texts end at their limit only: give it the engine."""
    monkeypatch.setattr("step5_serving.engines.batching.engine.is_repeating", lambda written: False)

    def without_ends(engine):
        engine.ends = frozenset()
        return engine

    return without_ends


def write(engine, sentence, limit=40, **kwargs):
    """Text, reason and tokens."""
    generation = engine.generate(engine.encode(sentence), limit, **kwargs)
    return "".join(generation), generation.stop_reason, generation.output_tokens


def together(engine, asked, at_once=None):
    """What `write` gives for each (sentence, options): all at once, or so many at a time."""
    with ThreadPoolExecutor(at_once or len(asked)) as pool:
        return list(pool.map(lambda each: write(engine, each[0], **each[1]), asked))


def count_tokens(engine):
    """The number of tokens in each decode step of an engine, as they come."""
    sizes, decode = [], engine.core._runner.decode

    def counted(spans):
        sizes.append(sum(len(ids) for _, _, ids in spans))
        return decode(spans)

    engine.core._runner.decode = counted
    return sizes
