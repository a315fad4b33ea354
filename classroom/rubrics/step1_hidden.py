"""Step 1, what learners don't see: from logits to tokens."""

import math
import time

import pytest
import torch

from classroom.protocol.wire import Record
from classroom.rubrics.step1_public import WORDS, Model, share, tokens, write

PENALTY, TOP_P = "step1_foundations.sampling:penalize_repetition", "step1_foundations.sampling:keep_top_p"
BITS = "step1_foundations.next_token:bits"


# --- 1.1: repetition penalty ------------------------------------------------------------------------------


@pytest.mark.rubric("1.1", points=4)
def test_penalty(submission, draw):
    """Many tokens, said more than once, or none; a penalty under 1, and logits of zero."""
    for _ in range(3):
        logits = draw.tensor(40, scale=3)
        seen = torch.tensor([draw.randrange(40) for _ in range(60)])
        submission.check(PENALTY, logits, seen, draw.uniform(1.1, 3), rel=1e-5)
        logits = draw.tensor(9, scale=3)
        logits[draw.randrange(9)] = 0.0
        submission.check(PENALTY, logits, torch.zeros(0, dtype=torch.long), draw.uniform(1.1, 3))
        submission.check(PENALTY, logits, torch.arange(9), draw.uniform(0.3, 0.9), rel=1e-5)


@pytest.mark.rubric("1.1", points=2)
def test_penalty_leaves_its_arguments(submission, draw):
    """The logits that were given stay as they are: the same ones are good for another penalty."""
    for _ in range(3):
        logits = submission.make("torch:tensor", draw.tensor(9, scale=3).tolist())
        for _ in range(3):
            seen = torch.tensor(draw.sample(range(9), 4))
            submission.check(PENALTY, logits, seen, draw.uniform(1.1, 3), rel=1e-5)


# --- 1.2: surprisal and entropy ---------------------------------------------------------------------------


@pytest.mark.rubric("1.2", points=4)
def test_bits_far(submission, draw):
    """Other sizes, in float32 and in bf16, and logits in the thousands, far apart: nothing overflows."""
    for i in range(4):
        T, V = draw.randint(1, 20), draw.randint(10, 60)
        logits = draw.tensor(T, V, scale=400) + draw.choice([-3000, 3000])
        following = torch.tensor([draw.randrange(V) for _ in range(T)])
        submission.check(BITS, logits.bfloat16() if i % 2 else logits, following, rel=1e-4, abs=5e-3)


@pytest.mark.rubric("1.2", points=3)
def test_bits_impossible(submission, draw):
    """Tokens that are impossible: infinite surprisal where one came, and nothing in the entropy."""
    for _ in range(3):
        logits, following = draw.tensor(6, 9, scale=2), torch.tensor([draw.randrange(9) for _ in range(6)])
        for place in range(6):
            logits[place, draw.sample(range(9), draw.randint(1, 7))] = -math.inf
        logits[0, following[0]] = -math.inf
        submission.check(BITS, logits, following, rel=1e-4, abs=2e-4)


# --- 1.4: top-p -------------------------------------------------------------------------------------------


def nuclei(logits):
    """How many tokens a nucleus may have without a close call: the last of them has some probability."""
    return int((logits.softmax(-1) > 3e-3).sum())


@pytest.mark.rubric("1.4", points=4)
def test_top_p(submission, draw):
    """Larger vocabularies, in any order, nuclei of any size."""
    for _ in range(5):
        logits = draw.tensor(draw.randint(20, 60), scale=draw.uniform(0.5, 3))
        submission.check(TOP_P, logits, share(logits, draw.randint(1, nuclei(logits))))


@pytest.mark.rubric("1.4", points=3)
def test_top_p_one(submission, draw):
    """One token has more than p, or p is tiny: that token stays, and it alone."""
    for _ in range(3):
        logits = draw.tensor(15)
        submission.check(TOP_P, logits, draw.uniform(1e-4, 1e-2))
        submission.check(TOP_P, logits, share(logits, draw.randint(2, nuclei(logits))))
        logits[draw.randrange(15)] += 20
        submission.check(TOP_P, logits, draw.uniform(0.3, 0.99))


@pytest.mark.rubric("1.4", points=3)
def test_top_p_after_top_k(submission, draw):
    """Some logits are minus infinity already."""
    for _ in range(3):
        logits = draw.tensor(20)
        logits[draw.sample(range(20), draw.randint(8, 16))] = -math.inf
        submission.check(TOP_P, logits, share(logits, draw.randint(2, nuclei(logits))))


# --- 1.8: the loop ----------------------------------------------------------------------------------------


@pytest.mark.rubric("1.8", points=3)
def test_write_cached(submission, draw):
    """Each forward reads only what is new, and knows all that came before by its cache."""
    for _ in range(3):
        _, models = write(submission, draw, tokens(draw, draw.randint(3, 8)), draw.randint(4, 7))
        forwards = "its forwards: how many ids the cache holds, and those that are read"
        submission.agree(forwards, models[0].forwards, lambda models=models: models[1].forwards)


@pytest.mark.rubric("1.8", points=3)
def test_write_stops(submission, draw):
    """It stops at a token that means so, also at the very first one; and at a limit of nothing."""
    for place in (0, draw.randint(1, 3), draw.randint(4, 7), 99):
        prompt, path = tokens(draw, draw.randint(1, 4)), []
        state = draw.getstate()
        model = Model(draw.getrandbits(60))
        draw.setstate(state)
        for _ in range(8):
            scores = model.logits(prompt + path)
            path.append(scores.index(max(scores)))
        stops = frozenset([*path[place : place + 1], WORDS + 1])
        write(submission, draw, prompt, 8, stop_ids=stops)
    write(submission, draw, prompt, 0)


@pytest.mark.rubric("1.8", points=2)
def test_write_draws(submission, draw):
    """Tokens are drawn as the settings say, from one generator, with a penalty on prompt and answer."""
    for _ in range(4):
        fields = {"temperature": draw.uniform(0.5, 1.5), "repetition_penalty": draw.uniform(1.5, 2.5)}
        sampling = Record("step1_foundations.sampling:Sampling", fields)
        generator = submission.make("classroom.drivers.step1:generator", draw.getrandbits(30))
        write(submission, draw, tokens(draw, 6), 10, sampling=sampling, generator=generator)


@pytest.mark.rubric("1.8", points=2)
def test_write_interrupted(submission, draw):
    """Ctrl-C while a token is heard: what was written, with that token, is returned."""
    for _ in range(3):
        write(submission, draw, tokens(draw, 3), 8, interrupted=draw.randint(1, 6))


@pytest.mark.rubric("1.8", points=1)
def test_write_last_place(submission, draw):
    """Only the last place's logits are asked for, and the prefill's time is told from the rest."""
    for first in draw.sample([0.002, 0.03, 0.06], 3):  # seconds of the first forward
        delays = [first, *(draw.uniform(0.001, 0.01) for _ in range(4))]
        began = time.monotonic()
        done, [model, *_] = write(submission, draw, tokens(draw, 5), 5, delays=delays)
        prefill, decode = done.get("prefill_seconds"), done.get("decode_seconds")
        assert type(prefill) is type(decode) is float, "the seconds are no floats"
        assert delays[0] <= prefill <= model.times[1] - began, "the prefill's seconds are not its own"
        assert sum(delays[1:]) <= decode <= time.monotonic() - began, "the rest's seconds are not its own"
        assert {*model.places} == {1}, "logits of more places than the last were asked for"
