"""The batcher: the same texts as one at a time, whoever sits beside them, and who joins, waits and leaves."""

import copy
import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import jsonschema
import pytest
import torch
from safetensors.torch import load_file, save_file

from shared import hardware, models
from shared.config import load_settings
from shared.embedded.backend import Backend
from shared.embedded.guide import Guide
from shared.embedded.on_transformers import TransformersEngine
from shared.embedded.refuse import Refused
from shared.errors import UserError
from step5_serving.engines.batching import choose, linear, scheduler
from step5_serving.engines.batching.engine import BatchEngine
from step5_serving.engines.batching.llama import Llama, frequencies
from step5_serving.engines.batching.request import End, Request, Sampling
from step5_serving.engines.batching.scheduler import Limits
from step5_serving.engines.batching.seats import Seats
from step5_serving.engines.batching.weights import Weights, check, rope, shapes

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


@pytest.fixture(scope="module")
def loaded(tiny_cache):
    settings = load_settings(model="tiny", device="cpu", dtype="float32", threads=1, cache_dir=tiny_cache)
    return models.load_causal_lm(settings=settings), models.load_tokenizer(settings=settings)


@pytest.fixture(scope="module")
def alone(loaded):
    """What each sentence leads to, one at a time, by the engine that every other step uses."""
    engine = TransformersEngine(*loaded)

    def write(sentence, limit=40, **kwargs):
        generation = engine.generate(engine.encode(sentence), limit, **kwargs)
        return "".join(generation), generation.stop_reason, generation.output_tokens

    return write


@pytest.fixture
def make(loaded):
    """Engines that are closed at the end."""
    made = []

    def new(rows=4, places=4 * 1024, **limits):
        model, tokenizer = loaded
        made.append(BatchEngine(Llama(Weights.of(model)), tokenizer, Limits(rows, places, **limits)))
        return made[-1]

    yield new
    for engine in made:
        engine.close()


def write(engine, sentence, limit=40, **kwargs):
    generation = engine.generate(engine.encode(sentence), limit, **kwargs)
    return "".join(generation), generation.stop_reason, generation.output_tokens


def together(engine, asked, limit=40, **kwargs):
    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda sentence: write(engine, sentence, limit, **kwargs), asked))


def until(true, seconds=10):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


# --- the forward --------------------------------------------------------------------------------------


def test_the_forward_by_hand_gives_the_logits_of_the_model(loaded):
    model, _ = loaded
    random.seed(0)
    rows = [[random.randrange(3, 512) for _ in range(n)] for n in (2, 20, 70)]
    with torch.inference_mode():
        seats = Seats(Llama(Weights.of(model)), 4, 128)
        for seat, ids in enumerate(rows):
            for start in range(0, len(ids) - 1, 32):
                seats.prefill(seat, ids[start : min(start + 32, len(ids) - 1)], start)
        logits = seats.decode([ids[-1] for ids in rows], [len(ids) - 1 for ids in rows])
        for ids, ours in zip(rows, logits, strict=True):
            theirs = model(input_ids=torch.tensor([ids])).logits[0, -1]
            torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("kernel", ["best", "int8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_to_the_last_bit_it_makes_no_difference_who_sits_there(loaded, dtype, kernel):
    """Not near: equal. In a batch of 1 to 9, and however the prompt was cut.

    Measured on AVX-512; where the matrices have a unit of their own (AMX), attention may pack them otherwise.
    """
    flags = hardware.cpu_flags()
    exact = linear.best() is linear.packed and "amx_bf16" not in flags
    exact &= dtype == torch.float32 or "avx512bw" in flags  # else bfloat16 has no packed kernel
    near = {"rtol": 0, "atol": 0 if exact else 1e-4 if dtype == torch.float32 else 0.2}
    model = copy.deepcopy(loaded[0]).to(dtype)
    random.seed(0)
    rows = [[random.randrange(3, 512) for _ in range(random.randrange(2, 150))] for _ in range(9)]
    with torch.inference_mode():
        llama = Llama(Weights.of(model), linear.int8 if kernel == "int8" else None)

        def last(rows, chunk):
            seats = Seats(llama, 9, 192, dtype)
            for seat, ids in enumerate(rows):
                for start in range(0, len(ids) - 1, chunk):
                    seats.prefill(seat, ids[start : min(start + chunk, len(ids) - 1)], start)
            return seats.decode([ids[-1] for ids in rows], [len(ids) - 1 for ids in rows])

        together = last(rows, 500)
        for seat, ids in enumerate(rows):
            torch.testing.assert_close(last([ids], 500)[0], together[seat], **near)
        torch.testing.assert_close(last(rows, 13), together, **near)
        torch.testing.assert_close(last(rows[:4], 64), together[:4], **near)


def test_a_seat_whose_turn_it_is_not_stays_as_it_is(loaded):
    model, _ = loaded
    with torch.inference_mode():
        seats = Seats(Llama(Weights.of(model)), 2, 64)
        seats.prefill(0, [5, 6, 7], 0)
        before = [each[:, 0, :, :63].clone() for each in seats._layers]
        seats.decode([0, 9], [None, 0])
        after = [each[:, 0, :, :63] for each in seats._layers]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "change", [{"model_type": "qwen3"}, {"hidden_act": "gelu"}, {"rope_parameters": {"rope_type": "yarn"}}]
)
def test_other_architectures_are_refused_in_one_line(loaded, change):
    config = loaded[0].config.to_dict()
    with pytest.raises(UserError, match="batches Llama models only"):
        check({**config, **change})


def test_quantized_weights_are_refused_in_one_line(loaded):
    with pytest.raises(UserError, match="these are quantized: use engine vllm"):
        check({**loaded[0].config.to_dict(), "quantization_config": {"quant_method": "awq"}})


@pytest.mark.parametrize(
    "parameters",
    [
        {"rope_type": "default", "rope_theta": 500000.0},
        {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0},
        {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 256,
        },
    ],
)
def test_positions_turn_as_far_as_in_transformers(parameters):
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = LlamaConfig(hidden_size=128, num_attention_heads=2, rope_parameters=parameters)
    theirs = LlamaRotaryEmbedding(config).inv_freq
    torch.testing.assert_close(frequencies(rope(config.to_dict()), 64), theirs, rtol=1e-6, atol=0)
    older = {"rope_theta": parameters["rope_theta"], "rope_scaling": dict(parameters)}
    older["rope_scaling"]["type"] = older["rope_scaling"].pop("rope_type")
    torch.testing.assert_close(frequencies(rope(older), 64), theirs, rtol=1e-6, atol=0)


def test_weights_are_read_as_transformers_reads_them(loaded, tiny_cache):
    settings = load_settings(model="tiny", dtype="float32", cache_dir=tiny_cache)
    read, of = Weights.read(settings), Weights.of(loaded[0])
    assert read.ends == of.ends
    assert {*shapes(read.config)} <= {*read.tensors}
    for name in read.tensors:
        assert torch.equal(read.get(name), of.get(name))
    assert torch.equal(read.get("lm_head.weight"), of.get("lm_head.weight"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("model.norm.weight"), "model.norm.weight is missing"),
        (lambda tensors: tensors.update({"model.norm.weight": torch.ones(3)}), r"has the shape \(3,\)"),
    ],
)
def test_damaged_weights_are_named(loaded, tmp_path, change, message):
    model, tokenizer = loaded
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=message):
        BatchEngine.load(load_settings(model=str(tmp_path)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "'hidden_size' is missing from its files"),
        ({"num_attention_heads": 0}, r"config.json says \(0, 64\)"),
        ({"attention_bias": True}, r"self_attn.q_proj.bias is missing"),
        ({"mlp_bias": True}, r"mlp.gate_proj.bias is missing"),
        ({"rope_parameters": {"rope_type": "linear"}}, "'factor' is missing from its files"),
    ],
)
def test_a_config_that_cannot_be_right_ends_in_one_line(loaded, tmp_path, change, message):
    model, tokenizer = loaded
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | change
    config = {key: value for key, value in config.items() if value is not None}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        BatchEngine.load(load_settings(model=str(tmp_path)))


@pytest.mark.parametrize("damaged", [False, True])
def test_loading_takes_no_threads_away(loaded, tmp_path, monkeypatch, damaged):
    model, tokenizer = loaded
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    if damaged:
        (tmp_path / "model.safetensors").write_bytes(b"none")
    monkeypatch.setenv("ROADMAP_THREADS", "auto")
    monkeypatch.setattr(hardware, "cores", lambda: 2)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(UserError) if damaged else nullcontext():
            engine = BatchEngine.load(load_settings(model=str(tmp_path)))
            assert engine.scheduler._threads == 2
            engine.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_weights_in_several_files_are_read_together(loaded, tmp_path):
    model, _ = loaded
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len([*tmp_path.glob("*.safetensors")]) > 1
    read = Weights.read(load_settings(model=str(tmp_path), dtype="float32"))
    assert torch.equal(read.get("model.norm.weight"), Weights.of(model).get("model.norm.weight"))


# --- the same texts -----------------------------------------------------------------------------------


def test_a_text_depends_on_no_neighbour(make, alone):
    """Twenty-one requests over four seats, joining and leaving at any time: each as if it were alone."""
    asked = SENTENCES * 3
    assert together(make(chunk=16), asked) == [alone(each) for each in asked]


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_however_many_seats_there_are(make, alone, rows):
    assert together(make(rows), SENTENCES) == [alone(each) for each in SENTENCES]


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_however_a_prompt_is_cut(make, alone, chunk):
    assert together(make(chunk=chunk), SENTENCES, 20) == [alone(each, 20) for each in SENTENCES]


def test_limits_of_its_own_for_each(make, alone):
    engine = make()
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: write(engine, SENTENCES[n % 7], 1 + 3 * n), range(8)))
    assert got == [alone(SENTENCES[n % 7], 1 + 3 * n) for n in range(8)]


def test_stop_strings_are_those_of_each(make, alone):
    engine, stops = make(), [["e"], ["a", "the"], [" "], []]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda n: write(engine, SENTENCES[n], stop=stops[n]), range(4)))
    assert got == [alone(SENTENCES[n], stop=stops[n]) for n in range(4)]
    assert any(reason == "stop_sequence" for _, reason, _ in got)


def test_schemas_beside_free_texts(make, alone):
    engine = make()
    with ThreadPoolExecutor(6) as pool:
        schemas = [SCHEMA, None, SCHEMA, None, SCHEMA, None]
        got = list(pool.map(lambda n: write(engine, SENTENCES[n], 60, schema=schemas[n]), range(6)))
    assert got == [alone(SENTENCES[n], 60, schema=schemas[n]) for n in range(6)]
    for text, reason, _ in got[::2]:
        assert reason == "end_turn"
        jsonschema.validate(json.loads(text), SCHEMA)


def test_a_schema_that_leaves_no_room_for_what_it_forces(make, alone):
    assert write(make(), "x", 2, schema=SCHEMA) == alone("x", 2, schema=SCHEMA)


def test_the_context_ends_a_text(make, monkeypatch):
    engine = make(1)
    monkeypatch.setattr("step5_serving.engines.batching.engine.circles", lambda written: False)
    engine.ends = frozenset()
    generation = engine.generate([5] * 2040, 100)
    list(generation)
    assert (generation.output_tokens, generation.stop_reason) == (8, "model_context_window_exceeded")
    with pytest.raises(ValueError, match="prompt is too long"):
        engine.generate([5] * 2048, 1)


# --- sampling -----------------------------------------------------------------------------------------


def test_a_seed_draws_the_same_again_whoever_sits_beside_it(make):
    engine, drawn = make(), Sampling(temperature=1.0, top_p=0.9, seed=7)
    first = write(engine, SENTENCES[0], sampling=drawn)
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(write, engine, each, 60) for each in SENTENCES[1:4]]
        assert write(engine, SENTENCES[0], sampling=drawn) == first
        assert [each.result() for each in others]
    assert write(engine, SENTENCES[0], sampling=Sampling(1.0, 0.9, seed=8)) != first


def test_without_a_seed_it_draws_another_time_something_else(make):
    engine = make()
    assert len({write(engine, "Once", sampling=Sampling(1.0))[0] for _ in range(4)}) > 1


def test_draws_follow_the_probabilities():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))

    def shares(**sampling):
        request = Request([1], 1, frozenset(), Sampling(seed=1, **sampling))
        drawn = [choose.draw(logits, [request])[0] for _ in range(1500)]
        return [drawn.count(token) / 1500 for token in range(4)]

    assert shares(temperature=1.0) == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.05)
    assert shares(temperature=1.0, top_p=0.79) == pytest.approx([0.625, 0.375, 0, 0], abs=0.05)
    assert shares(temperature=1.0, top_p=0.5) == [1, 0, 0, 0]
    assert shares(temperature=0) == [1, 0, 0, 0]
    assert shares(temperature=0.5)[0] == pytest.approx(0.25 / 0.365, abs=0.05)


def test_a_nucleus_wider_than_the_likely_tokens(monkeypatch):
    monkeypatch.setattr(choose, "LIKELY", 2)
    request = Request([1], 1, frozenset(), Sampling(1.0, 0.99, seed=1))
    drawn = {choose.draw(torch.zeros(1, 6), [request])[0] for _ in range(200)}
    assert drawn == set(range(6))


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"temperature": 3}, {"top_p": 0}, {"top_p": 1.5}])
def test_sampling_that_is_not_allowed(wrong):
    with pytest.raises(UserError, match="is not allowed"):
        Sampling(**wrong)


# --- who joins, waits and leaves ----------------------------------------------------------------------


def test_a_newcomer_joins_while_others_decode(make, monkeypatch):
    monkeypatch.setattr("step5_serving.engines.batching.engine.circles", lambda written: False)
    engine = make()
    engine.ends = frozenset()
    long = engine.generate(engine.encode("Once"), 1500)
    next(long)
    assert write(engine, "The sea", 5)[2] == 5
    assert engine.scheduler.running == 1  # the long one is still at it
    long.close()
    until(lambda: engine.scheduler.running == 0)


def test_closing_or_dropping_a_text_frees_its_seat(make, monkeypatch):
    monkeypatch.setattr("step5_serving.engines.batching.engine.circles", lambda written: False)
    engine = make(1)
    engine.ends = frozenset()
    for end in (lambda text: text.close(), lambda text: None):
        text = engine.generate(engine.encode("Once"), 1500)
        next(text)
        assert engine.scheduler.running == 1
        end(text)
        del text
        until(lambda: engine.scheduler.running == 0)
    assert write(engine, "The sea", 5)[2] == 5


def test_one_that_is_closed_while_it_waits_never_sits(make, monkeypatch):
    engine = make(1)
    waiting = Request([5, 6], 5, frozenset(), cancelled=True)
    engine.scheduler.submit(waiting)
    until(lambda: engine.scheduler.waiting == 0)
    assert waiting.read == 0
    assert waiting.out.empty()
    first = engine.generate(engine.encode("Once"), 2000)
    next(first)
    later = [Request([5, 6], 5, frozenset()) for _ in range(3)]
    for each in later:
        engine.scheduler.submit(each)
    later[1].cancelled = True  # in the middle of the queue
    until(lambda: engine.scheduler.waiting == 2)
    first.close()
    until(lambda: engine.scheduler.running == engine.scheduler.waiting == 0)
    assert [each.out.empty() for each in later] == [False, True, False]


def test_the_queue_is_bounded(make):
    engine = make(1, waiting=2)
    first = engine.generate(engine.encode("Once"), 2000)
    next(first)
    for _ in range(2):
        engine.scheduler.submit(Request([5], 1, frozenset()))
    with pytest.raises(Refused, match="Overloaded: 2 requests wait already") as caught:
        next(engine.generate([5], 1))
    assert (caught.value.status, caught.value.kind) == (529, "overloaded_error")
    first.close()
    until(lambda: engine.scheduler.waiting == 0)


def test_long_prompts_do_not_starve_who_decodes(make, monkeypatch):
    monkeypatch.setattr("step5_serving.engines.batching.engine.circles", lambda written: False)
    engine = make(chunk=8)
    engine.ends = frozenset()
    decoding = engine.generate(engine.encode("Once"), 1000)
    next(decoding)
    before = engine.scheduler.decoded
    newcomer = engine.generate([5] * 400, 1)
    list(newcomer)
    assert engine.scheduler.decoded - before >= 400 / 8 - 1
    decoding.close()


def test_seats_grow_for_a_long_request_and_become_more_again(make, alone):
    engine = make(4, places=2048)  # four seats of 512, or one of 2,048
    assert write(engine, SENTENCES[0]) == alone(SENTENCES[0])
    generation = engine.generate([7] * 600, 3)
    list(generation)
    assert (engine.scheduler._seats.seats, engine.scheduler._seats.places) == (2, 1024)
    assert together(engine, SENTENCES) == [alone(each) for each in SENTENCES]
    assert (engine.scheduler._seats.seats, engine.scheduler._seats.places) == (4, 512)
    mixed = [*SENTENCES[:3], "long " * 300, *SENTENCES[3:]]
    assert together(engine, mixed) == [alone(each) for each in mixed]


def test_rows_move_together_when_most_seats_are_empty(make, monkeypatch):
    monkeypatch.setattr("step5_serving.engines.batching.engine.circles", lambda written: False)
    engine = make(16, places=16 * 512)
    engine.ends = frozenset()
    texts = [engine.generate(engine.encode(f"Row {n}"), 400) for n in range(12)]
    with ThreadPoolExecutor(12) as pool:
        begun = list(pool.map(next, texts))
    for text in texts[:11]:
        text.close()
    until(lambda: engine.scheduler._rows[0] is not None and engine.scheduler.running == 1)
    moved = begun[11] + "".join(texts[11])
    assert moved == "".join(engine.generate(engine.encode("Row 11"), 400))


# --- what was read is not read again ------------------------------------------------------------------


def test_a_common_beginning_is_taken_from_an_empty_seat(make, alone):
    engine = make()
    system = "You are a helpful assistant who answers in one short sentence and never makes things up. "
    first = engine.generate(engine.encode(system + "One"), 5)
    list(first)
    again = engine.generate(engine.encode(system + "Two"), 40)
    text = "".join(again)
    assert first.cached_tokens == 0
    assert again.cached_tokens > 20
    assert text == alone(system + "Two")[0]


def test_and_from_a_neighbour_who_still_writes(make, alone, monkeypatch):
    engine = make()
    system = "You are a helpful assistant who answers in one short sentence and never makes things up. "
    first = engine.generate(engine.encode(system + "One"), 400)
    next(first)
    again = engine.generate(engine.encode(system + "Two"), 40)
    text = "".join(again)
    first.close()
    assert again.cached_tokens > 20
    assert text == alone(system + "Two")[0]


# --- what goes wrong ----------------------------------------------------------------------------------


def test_a_forward_that_fails_ends_those_in_it_and_not_the_next(make, monkeypatch, alone):
    engine = make()
    with monkeypatch.context() as patch:
        patch.setattr(Seats, "decode", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write(engine, "Once")
    assert write(engine, SENTENCES[0]) == alone(SENTENCES[0])


def test_no_memory_for_a_long_row_ends_that_row_and_the_loop_goes_on(make, monkeypatch, alone):
    engine = make()
    assert write(engine, "Once")
    resize = Seats.resize

    def fails(self, seats, places, held=()):
        if places > 512:
            raise MemoryError("no room")
        resize(self, seats, places, held)

    monkeypatch.setattr(Seats, "resize", fails)
    with pytest.raises(MemoryError):
        list(engine.generate([7] * 600, 3))
    assert write(engine, SENTENCES[0]) == alone(SENTENCES[0])


def test_a_grammar_that_fails_ends_its_own_text_only(make, monkeypatch, alone):
    engine = make()
    monkeypatch.setattr(Guide, "choose", lambda *args: 1 / 0)

    def guided():
        with pytest.raises(ZeroDivisionError):
            write(engine, "Once", schema=SCHEMA)

    thread = threading.Thread(target=guided)
    thread.start()
    assert write(engine, SENTENCES[0]) == alone(SENTENCES[0])
    thread.join()


def test_closing_the_engine_ends_what_runs(make):
    engine = make(1)
    text = engine.generate(engine.encode("Once"), 2000)
    next(text)
    engine.close()
    with pytest.raises(Refused, match="closed"):
        list(text)
    with pytest.raises(Refused, match="closing"):
        write(engine, "Once")


def test_its_thread_ends_with_the_work_and_comes_back_with_the_next(make):
    engine = make()
    first = write(engine, "Once upon a time")
    until(lambda: engine.scheduler._thread is None)
    assert "batch" not in {each.name for each in threading.enumerate()}
    assert write(engine, "Once upon a time") == first
    for _ in range(50):  # one that comes at the moment in which the thread goes is not forgotten
        write(engine, "Once", 1)


def test_it_serves_the_backend_from_several_threads(make):
    engine = make()
    backend = Backend(load_settings(model="tiny"), engine=engine)
    body = {"model": "tiny", "max_tokens": 20, "messages": [{"role": "user", "content": "Hello there"}]}
    expected = "".join(backend.answer(body).text)
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda _: "".join(backend.answer(body).text), range(12))) == {expected}


def test_an_end_is_not_a_token():
    request = Request([1, 2], 3, frozenset(), written=[7])
    assert (request.ids, request.begin, request.longest) == ([1, 2, 7], 2, 5)
    request.out.put(End())
    assert [request.out.get(), request.out.get()] == [[7], End(finished=False)]
    assert scheduler.CHUNK > 0


# --- on the real model --------------------------------------------------------------------------------

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
