"""The text engines: what they write, where they stop, and what they keep from call to call."""

import importlib.util
import json
import threading

import jsonschema
import pytest
import torch

from shared.config import load_settings
from shared.embedded import engines, on_llamacpp, on_transformers
from shared.embedded.engine import room
from shared.embedded.engines import load_engine
from shared.embedded.on_transformers import TransformersEngine
from shared.errors import UserError
from shared.models import weights

SENTENCES = ["The sea was calm.", "Ten cats sat on a wall", "café 日本語 🙂 naïve", "def f(x):\n    return x"]


@pytest.fixture(scope="module")
def loaded(tiny_cache):
    return TransformersEngine.load(
        load_settings(model="tiny", device="cpu", dtype="float32", cache_dir=tiny_cache)
    )


@pytest.fixture
def engine(loaded):
    """A fresh engine on the one model: nothing is kept from another test."""
    return TransformersEngine(loaded.model, loaded.tokenizer)


def plain(engine, monkeypatch):
    monkeypatch.setattr(on_transformers, "PENALTY", 1.0)
    return engine


def write(engine, text, limit=40, **kwargs):
    answer = engine.generate(engine.encode(text), limit, **kwargs)
    return "".join(answer), answer


# --- what it writes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sentence", SENTENCES)
def test_greedy_is_what_transformers_generate_writes(engine, monkeypatch, sentence):
    text, answer = write(plain(engine, monkeypatch), sentence, 60)
    ids = torch.tensor([engine.encode(sentence)])
    whole = engine.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=60,
        do_sample=False,
        eos_token_id=[*engine.ends],
    )[0, ids.shape[1] :].tolist()
    ended = whole[-1] in engine.ends
    written = whole[:-1] if ended else whole
    assert text == engine.tokenizer.decode(written).rstrip("\N{REPLACEMENT CHARACTER}")
    assert answer.output_tokens == len(written)
    assert answer.stop_reason == ("end_turn" if ended else "max_tokens")


def test_words_that_came_lately_become_less_probable_and_nothing_else(engine):
    word, comma = engine.encode("the")[0], engine.encode(",")[0]
    logits = torch.ones(512)
    logits[comma - 1 :] = -1
    before = logits.clone()
    engine._penalise(logits, [word, comma, word])
    assert logits[word] < before[word]
    logits[word] = before[word]
    assert torch.equal(logits, before)


def test_an_answer_that_goes_round_in_a_circle_ends(engine, monkeypatch):
    same = torch.zeros(512)
    same[engine.encode("7")] = 1
    monkeypatch.setattr(engine, "_forward", lambda ids, past: same.clone())
    text, answer = write(engine, "Hello", 500)
    assert (text, answer.stop_reason, answer.output_tokens) == ("7" * 32, "end_turn", 32)


def script(engine, monkeypatch, text):
    """Let the model say these words, whatever it thinks; then it ends its turn."""
    ids = [*engine.encode(text), engine.tokenizer.eos_token_id]
    say = iter(ids)

    def forward(read, past):
        return torch.nn.functional.one_hot(torch.tensor(next(say)), 512).float()

    monkeypatch.setattr(engine, "_forward", forward)
    return len(ids) - 1


@pytest.mark.parametrize("text", [*SENTENCES, "🙂🙃", "한국어", "e\u0301", "tail \ufffd."])
def test_letters_that_are_spread_over_tokens_come_whole(engine, monkeypatch, text):
    tokens = script(engine, monkeypatch, text)
    answer = engine.generate([5], 100)
    pieces = list(answer)
    assert "".join(pieces) == text
    assert all(pieces)
    assert not any("\ufffd" in piece for piece in pieces if "\ufffd" not in text)
    assert answer.output_tokens == tokens
    assert answer.stop_reason == "end_turn"


def test_markers_of_turns_are_parsed_and_end_an_answer(engine, monkeypatch):
    assert engine.encode("<|im_start|>user\n")[0] == engine.tokenizer.bos_token_id
    script(engine, monkeypatch, "yes<|im_start|>user")
    text, answer = write(engine, "Well?")
    assert (text, answer.stop_reason) == ("yes", "end_turn")


# --- where it stops -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stops", "shown", "found"),
    [
        (["END"], "one two ", "END"),
        (["two"], "one ", "two"),
        (["D three", "three"], "one two EN", "D three"),
        (["threes", "x"], "one two END three", None),
        (["one"], "", "one"),
        (["", "three"], "one two END ", "three"),
    ],
)
def test_stop_strings_are_found_across_tokens_and_never_shown(engine, monkeypatch, stops, shown, found):
    script(engine, monkeypatch, "one two END three")
    text, answer = write(engine, "Count", stop=stops)
    assert (text, answer.stop_sequence) == (shown, found)
    assert answer.stop_reason == ("stop_sequence" if found else "end_turn")


def test_max_tokens(engine, monkeypatch):
    script(engine, monkeypatch, "one two three four five six")
    _, answer = write(engine, "Count", 3)
    assert (answer.output_tokens, answer.stop_reason) == (3, "max_tokens")


def test_the_context_ends_an_answer(engine, monkeypatch):
    engine.context = 30
    script(engine, monkeypatch, "one two three four five six seven eight nine ten eleven twelve")
    answer = engine.generate([5] * 20, 100)
    list(answer)
    assert (answer.output_tokens, answer.stop_reason) == (10, "model_context_window_exceeded")


def test_a_prompt_without_room_is_refused_at_once(engine):
    with pytest.raises(ValueError, match="prompt is too long: 2048 tokens > 2047 maximum"):
        engine.generate([5] * engine.context, 1)
    with pytest.raises(ValueError, match="empty"):
        engine.generate([], 1)
    assert room([1, 2], 10) == 8


# --- what it keeps ------------------------------------------------------------------------------------


def test_a_common_beginning_is_not_computed_again_and_changes_nothing(engine, loaded):
    first, second = "The sea was calm and the sky was", "The sea was calm and the wind"
    alone = write(TransformersEngine(loaded.model, loaded.tokenizer), second)[0]
    assert write(engine, first)[1].cached_tokens == 0
    text, answer = write(engine, second)
    assert text == alone
    a, b = engine.encode(first), engine.encode(second)
    assert answer.cached_tokens == next(i for i in range(len(b)) if a[i] != b[i])


def test_closing_early_keeps_the_cache_right(engine, loaded):
    long, short = "The sea was calm and the sky was blue", "The sea was calm and the"
    early = engine.generate(engine.encode(long), 40)
    next(early)
    early.close()
    assert list(early) == []
    assert len(engine._kept[False].ids) == engine._kept[False].cache.get_seq_length()
    text, answer = write(engine, short)
    assert text == write(TransformersEngine(loaded.model, loaded.tokenizer), short)[0]
    assert answer.cached_tokens > 0


def test_a_forward_that_breaks_off_leaves_no_cache_to_trust(engine, monkeypatch, loaded):
    write(engine, "The sea was calm")
    attention = engine.model.model.layers[1].self_attn

    def broken(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(attention, "forward", broken)
        with pytest.raises(KeyboardInterrupt):
            write(engine, "The sea was wild")
    text, answer = write(engine, "The sea was calm")
    assert answer.cached_tokens == 0
    assert text == write(TransformersEngine(loaded.model, loaded.tokenizer), "The sea was calm")[0]


def test_threads_do_not_mix(engine):
    prompts = [engine.encode(sentence) for sentence in SENTENCES]
    alone = ["".join(engine.generate(ids, 30)) for ids in prompts]
    texts = {}

    def work(i):
        texts[i] = ["".join(engine.generate(prompts[i % 4], 30)) for _ in range(3)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {i: [alone[i % 4]] * 3 for i in range(8)}


# --- which one ----------------------------------------------------------------------------------------


def test_one_engine_a_process(monkeypatch):
    monkeypatch.setattr(engines, "_engines", {})
    first = load_engine(load_settings(engine="auto", model="tiny"))
    assert first.name == "transformers"
    assert load_engine(load_settings(engine="transformers", model="tiny")) is first
    assert load_engine(load_settings(engine="auto", model="tiny", dtype="float16")) is not first


def test_llamacpp_without_its_wheel(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xllamacpp", None)
    with pytest.raises(UserError, match=r"pip install \.\[llamacpp\]"):
        load_engine(load_settings(engine="llamacpp", model="tiny"))


has_llamacpp = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="the extra llamacpp is not installed"
)


@has_llamacpp
def test_llamacpp_without_a_gguf():
    with pytest.raises(UserError, match="tiny has no GGUF for engine llamacpp: use engine transformers"):
        load_engine(load_settings(engine="llamacpp", model="tiny"))


@has_llamacpp
def test_a_gguf_that_is_none(tmp_path):
    source = weights.ensure("tiny")
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    (tmp_path / "model.gguf").write_bytes(b"GGUFnothing")
    with pytest.raises(UserError, match="cannot be loaded from"):
        on_llamacpp.LlamaCppEngine.load(tmp_path, load_settings(model="tiny"))


# --- on the real model --------------------------------------------------------------------------------

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "born": {"type": "integer", "minimum": 1000, "maximum": 2026},
        "mood": {"enum": ["good", "bad"]},
    },
    "required": ["name", "born", "mood"],
    "additionalProperties": False,
}
PEOPLE = "Ada Lovelace, Alan Turing, Marie Curie, Grace Hopper, Isaac Newton, Emmy Noether, Niels Bohr, "
PEOPLE += "Lise Meitner, Carl Gauss, Sophie Germain, Max Planck, Rosalind Franklin, Kurt Gödel, Ada Yonath, "
PEOPLE += "Euclid, Hypatia, Galileo, Kepler, Darwin, Mendel"


def turn(engine, question):
    return engine.encode(f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")


@pytest.fixture(
    params=["transformers", pytest.param("llamacpp", marks=has_llamacpp)],
)
def real(request):
    return load_engine(load_settings(engine=request.param))


@pytest.mark.real
def test_smollm2_answers_and_ends_its_turn(real, capfd):
    capfd.readouterr()
    answer = real.generate(turn(real, "What is the capital of France?"), 40)
    assert "Paris" in "".join(answer)
    assert answer.stop_reason == "end_turn"
    assert answer.output_tokens == 7
    again = real.generate(turn(real, "What is the capital of France?"), 40)
    pieces = list(again)
    assert "Paris" in "".join(pieces)
    assert len(pieces) > 3  # it streams
    assert again.cached_tokens > 10
    assert capfd.readouterr() == ("", "")


@pytest.mark.real
def test_smollm2_fits_the_schema_every_time(real):
    guided = real.name == "transformers"  # and so ended in time
    for person in PEOPLE.split(", ")[: 20 if guided else 10]:
        answer = real.generate(turn(real, f"Facts about {person}?"), 40 if guided else 200, schema=PERSON)
        text = "".join(answer)
        assert answer.stop_reason == "end_turn", text
        jsonschema.validate(json.loads(text), PERSON)


@pytest.mark.real
def test_smollm2_stops_where_it_is_told(real):
    answer = real.generate(turn(real, "What is the capital of France?"), 40, stop=["of Fr", "Paris"])
    assert "".join(answer) == "The capital "
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "of Fr")
    early = real.generate(turn(real, "Tell me a story."), 200)
    assert next(early)
    early.close()
    assert list(early) == []
    short = real.generate(turn(real, "Tell me a story."), 5)
    list(short)
    assert (short.output_tokens, short.stop_reason) == (5, "max_tokens")


@pytest.mark.real
@has_llamacpp
def test_llamacpp_ends_at_its_context_and_lets_nobody_in():
    import urllib.error
    import urllib.request

    engine = load_engine(load_settings(engine="llamacpp"))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{engine._server.listening_address}/v1/models")  # loopback
    assert engine.context == 8192
    with pytest.raises(ValueError, match="prompt is too long"):
        engine.generate([5] * 8192, 5)
