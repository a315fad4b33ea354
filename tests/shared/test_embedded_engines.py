"""The text engines: what they write, where they stop, and what they keep from call to call."""

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
import torch

from shared.config import load_settings
from shared.embedded import decoding, on_transformers
from shared.embedded.on_transformers import TransformersEngine

SENTENCES = ["The sea was calm.", "Ten cats sat on a wall", "café 日本語 🙂 naïve", "def f(x):\n    return x"]


@pytest.fixture(scope="module")
def loaded():
    return TransformersEngine.load(load_settings(model="tiny", dtype="float32"))


@pytest.fixture
def engine(loaded):
    """A fresh engine on the one model: nothing is kept from another test."""
    return TransformersEngine(loaded.model, loaded.tokenizer)


def write(engine, text, limit=40, **kwargs):
    answer = engine.generate(engine.encode(text), limit, **kwargs)
    return "".join(answer), answer


# --- what it writes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sentence", SENTENCES)
def test_greedy_is_what_transformers_generate_writes(engine, monkeypatch, sentence):
    monkeypatch.setattr(decoding, "PENALTY", 1.0)
    text, answer = write(engine, sentence, 60)
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


def test_recent_words_become_less_probable_and_nothing_else(engine):
    word, comma = engine.encode("the")[0], engine.encode(",")[0]
    logits = torch.ones(1, 512)
    logits[0, comma - 1 :] = -1
    before = logits.clone()
    decoding.penalize(logits, [[word, comma, word]], decoding.word_test(engine.tokenizer))
    assert logits[0, word] < before[0, word]
    logits[0, word] = before[0, word]
    assert torch.equal(logits, before)


def test_an_answer_that_repeats_itself_is_ended(engine, monkeypatch):
    same = torch.zeros(512)
    same[engine.encode("7")] = 1
    monkeypatch.setattr(engine, "_forward", lambda ids, proposed, past: same.clone()[None])
    text, answer = write(engine, "Hello", 500)
    assert (text, answer.stop_reason, answer.output_tokens) == ("7" * 32, "end_turn", 32)


def script(engine, monkeypatch, text):
    """Let the model say these words, whatever it thinks; then it ends its turn."""
    ids = [*engine.encode(text), engine.tokenizer.eos_token_id]
    rows = torch.nn.functional.one_hot(torch.tensor(ids), 512).float()
    monkeypatch.setattr(engine, "_forward", Mock(side_effect=rows.split(1)))
    return len(ids) - 1


@pytest.mark.parametrize("text", [*SENTENCES, "🙂🙃", "한국어", "e\u0301", "tail \ufffd."])
def test_characters_that_are_split_over_tokens_are_streamed_whole(engine, monkeypatch, text):
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


@pytest.mark.parametrize(
    ("limit", "tokens", "reason"), [(3, 3, "max_tokens"), (100, 10, "model_context_window_exceeded")]
)
def test_a_limit_or_the_context_ends_an_answer(engine, monkeypatch, limit, tokens, reason):
    engine.context = 30
    script(engine, monkeypatch, "one two three four five six seven eight nine ten eleven twelve")
    answer = engine.generate([5] * 20, limit)
    list(answer)
    assert (answer.output_tokens, answer.stop_reason) == (tokens, reason)


@pytest.mark.parametrize(("limit", "passes"), [(7, 7), (300, 296)])
def test_proposals_change_no_token_and_save_passes(engine, monkeypatch, loaded, limit, passes):
    """With the adapter on, a pass also reads what followed the last two tokens before."""
    text, made, forward = "café 日本語 🙂 naïve", [], engine._forward
    monkeypatch.setattr(engine, "_forward", lambda *read: made.append(read) or forward(*read))
    proposing = write(engine, text, limit, adapter=True)
    with monkeypatch.context() as patch:
        patch.setattr(on_transformers, "PROPOSALS", 0)
        alone = write(TransformersEngine(loaded.model, loaded.tokenizer), text, limit, adapter=True)
    assert proposing[0] == alone[0]
    assert proposing[1].output_tokens == alone[1].output_tokens == limit
    assert len(made) == passes
    stored = engine._stored[True]
    assert len(stored.ids) == stored.cache.get_seq_length()


def test_what_followed_the_last_two_ids_the_first_time_is_proposed():
    def propose(ids, most):
        return decoding.PromptLookup().propose(ids, most)

    assert propose([1, 2, 3, 1, 2, 4, 5, 1, 2], 9) == [3, 1, 2, 4, 5, 1, 2]
    assert propose([1, 2, 3, 1, 2, 4, 5, 1, 2], 1) == [3]
    assert propose([1, 2, 3], 9) == propose([7], 9) == propose([5, 5], 9) == []


def test_proposals_follow_the_prompt_and_the_output_so_far():
    lookup = decoding.PromptLookup()
    ids = [1, 2, 3, 4, 1, 2, 9]
    assert lookup.propose(ids, 3) == []  # nothing followed there
    ids += [7, 3, 4]
    assert lookup.propose(ids, 9) == [1, 2, 9, 7, 3, 4]
    ids += [2, 9]
    assert lookup.propose(ids, 3) == [7, 3, 4]  # the output's own


def test_proposals_are_accepted_as_long_as_the_model_chooses_them():
    assert decoding.accept([], [4], {0}) == [4]
    assert decoding.accept([4, 5, 6], [4, 5, 7, 8], {0}) == [4, 5, 7]
    assert decoding.accept([4, 5], [4, 5, 6], {0}) == [4, 5, 6]  # one more comes for free
    assert decoding.accept([4, 0, 5], [4, 0, 5, 6], {0}) == [4, 0]  # nothing follows an end


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
    assert len(engine._stored[False].ids) == engine._stored[False].cache.get_seq_length()
    text, answer = write(engine, short)
    assert text == write(TransformersEngine(loaded.model, loaded.tokenizer), short)[0]
    assert answer.cached_tokens > 0


def test_an_interrupted_forward_empties_the_cache(engine, monkeypatch, loaded):
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
    with ThreadPoolExecutor(8) as pool:
        texts = pool.map(lambda i: "".join(engine.generate(prompts[i % 4], 30)), range(16))
    assert [*texts] == alone * 4
