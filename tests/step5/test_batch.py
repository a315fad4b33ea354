"""The batcher writes the same texts as an engine that takes one request at a time."""

import pytest

from shared import models
from shared.config import load_settings
from shared.embedded.on_transformers import TransformersEngine
from step5_serving.engines.batching.engine import BatchEngine
from step5_serving.engines.batching.llama import Llama
from step5_serving.engines.batching.weights import Weights
from tests.step5.batch_parts import SCHEMA, SENTENCES, count_tokens, together, write


@pytest.mark.parametrize(("rows", "chunk"), [(1, 64), (4, 16), (7, 5)])
def test_a_text_depends_on_no_neighbour(make, alone, rows, chunk):
    """Fourteen requests, joining and leaving at any time, however prompts are cut: each as if alone."""
    expected = [alone(each) for each in SENTENCES]
    assert together(make(rows, chunk=chunk), SENTENCES * 2) == expected * 2


def test_a_schema_that_leaves_no_room_for_what_it_forces(make, alone):
    assert write(make(), "x", 2, schema=SCHEMA) == alone("x", 2, schema=SCHEMA)


def test_the_context_ends_a_text(make, endless):
    engine = endless(make(1))
    generation = engine.generate([5] * 2040, 100)
    list(generation)
    assert (generation.output_tokens, generation.stop_reason) == (8, "model_context_window_exceeded")


ASKED = [
    "What is the capital of France?",
    "Name three colours.",
    "Why is the sky blue?",
    "Tell me a short story about a fox.",
    "What is 12 plus 30?",
    "How do I boil an egg?",
]
PASSAGE = "The notice period is 90 days and begins on the first day of the month after the notice arrives."


@pytest.mark.real
def test_smollm2_in_float32_writes_the_same_in_company_as_alone_and_quotes_in_half_the_steps():
    settings = load_settings(dtype="float32", device="cpu")
    model, tokenizer = models.load_causal_lm(settings=settings), models.load_tokenizer(settings=settings)
    lock, batch = TransformersEngine(model, tokenizer), BatchEngine(Llama(Weights.read(settings)), tokenizer)
    asked = [*ASKED, f"Repeat this text word for word: {PASSAGE}"]
    prompts = [f"<|im_start|>user\n{each}<|im_end|>\n<|im_start|>assistant\n" for each in asked]
    alone = [write(lock, each, 40) for each in prompts]
    try:
        assert together(batch, prompts, 40) == alone
        sizes = count_tokens(batch)
        assert write(batch, prompts[-1], 40) == alone[-1]
    finally:
        batch.close()
    text, _, tokens = alone[-1]
    assert "90 days" in text
    assert len(sizes) <= tokens / 2
