"""The batcher writes the same texts as an engine that takes one request at a time."""

import pytest

from shared import models
from shared.config import load_settings
from shared.embedded.on_transformers import TransformersEngine
from step5_serving.engines.batching.engine import BatchEngine
from step5_serving.engines.batching.llama import Llama
from step5_serving.engines.batching.weights import Weights
from tests.step5.batch_parts import SCHEMA, SENTENCES, together, write


def test_a_text_depends_on_no_neighbour(make, alone):
    """Fourteen requests over four slots, joining and leaving at any time: each as if it were alone."""
    expected = [alone(each) for each in SENTENCES]
    assert together(make(chunk=16), SENTENCES * 2) == expected * 2


@pytest.mark.parametrize(("rows", "chunk"), [(1, 64), (7, 5)])
def test_however_many_run_together_and_however_prompts_are_cut(make, alone, rows, chunk):
    assert together(make(rows, chunk=chunk), SENTENCES, 20) == [alone(each, 20) for each in SENTENCES]


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


@pytest.mark.real
def test_smollm2_in_float32_writes_the_same_in_company_as_alone():
    settings = load_settings(dtype="float32", device="cpu")
    model, tokenizer = models.load_causal_lm(settings=settings), models.load_tokenizer(settings=settings)
    lock, batch = TransformersEngine(model, tokenizer), BatchEngine(Llama(Weights.read(settings)), tokenizer)
    prompts = [f"<|im_start|>user\n{each}<|im_end|>\n<|im_start|>assistant\n" for each in ASKED]
    try:
        assert together(batch, prompts, 40) == [write(lock, each, 40) for each in prompts]
    finally:
        batch.close()
