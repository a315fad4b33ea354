"""Step 1, the hidden tests."""

import math
import time

import pytest
import torch

from classroom.protocol.wire import Record
from classroom.rubrics.step1_public import (
    ATTEND,
    BITS,
    PENALTY,
    PRODUCT,
    QUANTIZE,
    RMS_NORM,
    ROPE,
    TOP_P,
    WORDS,
    Model,
    check_generate,
    near_steps,
    p_of_nucleus,
)


@pytest.mark.rubric("1.4", points=4, times=3)
def test_penalty(submission, draw):
    """Many tokens, some seen more than once, or none; a penalty below 1; a logit of zero."""
    logits = draw.tensor(40, scale=3)
    seen = torch.tensor(draw.ids(60, 40))
    submission.check(PENALTY, logits, seen, draw.uniform(1.1, 3), rel=1e-5)
    logits = draw.tensor(9, scale=3)
    logits[draw.randrange(9)] = 0.0
    submission.check(PENALTY, logits, torch.zeros(0, dtype=torch.long), draw.uniform(1.1, 3))
    submission.check(PENALTY, logits, torch.arange(9), draw.uniform(0.3, 0.9), rel=1e-5)


@pytest.mark.rubric("1.4", points=2, times=3)
def test_penalty_leaves_its_arguments(submission, draw):
    """The given logits are not changed: they can be penalized again."""
    logits = submission.make("torch:tensor", draw.tensor(9, scale=3).tolist())
    for _ in range(3):
        seen = torch.tensor(draw.sample(range(9), 4))
        submission.check(PENALTY, logits, seen, draw.uniform(1.1, 3), rel=1e-5)


@pytest.mark.rubric("1.5", points=4)
def test_bits_far(submission, draw):
    """Other sizes, in float32 and bf16; logits in the thousands do not overflow."""
    for i in range(4):
        T, V = draw.randint(1, 20), draw.randint(10, 60)
        logits = draw.tensor(T, V, scale=400) + draw.choice([-3000, 3000])
        following = torch.tensor(draw.ids(T, V))
        submission.check(BITS, logits.bfloat16() if i % 2 else logits, following, rel=1e-4, abs=5e-3)


@pytest.mark.rubric("1.5", points=3, times=3)
def test_bits_impossible(submission, draw):
    """Impossible tokens: infinite surprisal where one came, and they add nothing to the entropy."""
    logits, following = draw.tensor(6, 9, scale=2), torch.tensor(draw.ids(6, 9))
    for place in range(6):
        logits[place, draw.sample(range(9), draw.randint(1, 7))] = -math.inf
    logits[0, following[0]] = -math.inf
    submission.check(BITS, logits, following, rel=1e-4, abs=2e-4)


@pytest.mark.rubric("1.3", points=3, times=3)
def test_rms_norm(submission, draw):
    """Other numbers and sizes of rows, with a mean that is not 0."""
    T, d = draw.randint(1, 8), draw.randint(3, 40)
    x = draw.tensor(T, d, scale=draw.uniform(1, 20)) + draw.uniform(-5, 5)
    submission.check(RMS_NORM, x, draw.tensor(d), 1e-5, rel=1e-4, abs=1e-4)


@pytest.mark.rubric("1.3", points=3, times=3)
def test_rms_norm_eps(submission, draw):
    """Rows of zeros and tiny rows: eps is under the root, beside the mean square."""
    x = draw.tensor(4, 16, scale=draw.uniform(0.5e-3, 5e-3))
    x[draw.randrange(4)] = 0
    weight, eps = draw.tensor(16) + 2, draw.choice([1e-4, 1e-5, 1e-6])
    submission.check(RMS_NORM, x, weight, eps, rel=1e-3, abs=1e-5)


def largest_nucleus(logits):
    """The largest nucleus that rounding cannot change: its last token has some probability."""
    return int((logits.softmax(-1) > 3e-3).sum())


@pytest.mark.rubric("1.6", points=7, times=4)
def test_top_p(submission, draw):
    """Larger vocabularies in any order, nuclei of any size; only one token where it has more than p."""
    logits = draw.tensor(draw.randint(20, 60), scale=draw.uniform(0.5, 3))
    for n in (1, draw.randint(1, largest_nucleus(logits)), largest_nucleus(logits)):
        submission.check(TOP_P, logits, p_of_nucleus(logits, n))
    submission.check(TOP_P, logits, draw.uniform(1e-4, 1e-2))
    logits[draw.randrange(len(logits))] += 20
    submission.check(TOP_P, logits, draw.uniform(0.3, 0.99))


@pytest.mark.rubric("1.6", points=3, times=3)
def test_top_p_after_top_k(submission, draw):
    """Some logits are minus infinity already."""
    logits = draw.tensor(20)
    logits[draw.sample(range(20), draw.randint(8, 16))] = -math.inf
    submission.check(TOP_P, logits, p_of_nucleus(logits, draw.randint(2, largest_nucleus(logits))))


@pytest.mark.rubric("1.1", points=10, times=4)
def test_rope(submission, draw):
    """Other numbers of heads, places and pairs, other bases."""
    shape = draw.randint(1, 5), draw.randint(6, 14), 2 * draw.randint(2, 16)
    submission.check(ROPE, draw.tensor(*shape), draw.uniform(50, 100_000), rel=1e-4, abs=3e-4)


@pytest.mark.rubric("1.2", points=13)
def test_attend_grouped(submission, draw):
    """Heads in groups that share keys and values; one place only; scores whose exponential overflows."""
    for heads, kv_heads in ((6, 2), (4, 1), (6, 3), (3, 3)):
        T, dim = draw.randint(2, 9), draw.randint(2, 12)
        q, k, v = (draw.tensor(n, T, dim) for n in (heads, kv_heads, kv_heads))
        submission.check(ATTEND, q, k, v, rel=1e-4, abs=1e-4)
        q, k, v = (draw.tensor(n, 1, 6) for n in (4, 2, 2))
        submission.check(ATTEND, q, k, v, rel=1e-4, abs=1e-4)
    for size in (20, 60):
        q, k, v = draw.tensor(2, 5, 8, scale=size), draw.tensor(2, 5, 8, scale=size), draw.tensor(2, 5, 8)
        submission.check(ATTEND, q, k, v, rel=1e-2, abs=2e-2)


@pytest.mark.rubric("1.8", points=3, times=3)
def test_quantize(submission, draw):
    """Larger matrices, whose scales bf16 has to round: rows are rounded with the scale that is kept."""
    weight, _ = near_steps(draw, draw.randint(2, 9), draw.randint(12, 40), draw.uniform(0.33, 0.42))
    submission.check(QUANTIZE, weight)


@pytest.mark.rubric("1.8", points=2)
def test_quantize_edges(submission, draw):
    """A row of zeros, a matrix in bf16, and a matrix that must stay as it is."""
    for dtype in ("float", "bfloat16", "float"):
        weight, whole = near_steps(draw, 4, 6, off=0.0)
        zero = draw.randrange(4)
        weight[zero], whole[zero] = 0, 0
        expected = whole, (weight.abs().amax(dim=1) / 127).bfloat16()
        kept = submission.make("torch:tensor", weight.tolist()).make(dtype)
        for _ in range(2):  # the same matrix
            rounded, scale = submission.call(QUANTIZE, kept)
            assert bool(scale.isfinite().all()), "a scale is not finite"
            scale[zero] = 0  # any will do
            submission.agree("the rows and their scales", (rounded, scale), lambda told=expected: told)


@pytest.mark.rubric("1.8", points=3)
def test_product(submission, draw):
    """The product with an int8 matrix is close to that with the original matrix."""
    for rows, columns in ((12, 12), (9, 30), (17, 5)):
        numbers = [[draw.randint(-127, 127) for _ in range(columns)] for _ in range(rows)]
        weight = torch.tensor(numbers, dtype=torch.int8)
        scale = torch.tensor([draw.choice([0.002, 0.01, 0.03]) for _ in range(rows)]).bfloat16()
        x = draw.tensor(draw.randint(1, 12), columns).bfloat16()
        submission.check(PRODUCT, x, weight, scale, rel=2e-2, abs=0.1)


@pytest.mark.rubric("1.7", points=3, times=3)
def test_write_cached(submission, draw):
    """Each forward reads only the new tokens; the cache holds all earlier ones."""
    _, models = check_generate(submission, draw, draw.ids(draw.randint(3, 8), WORDS), draw.randint(4, 7))
    forwards = "its forwards: how many ids the cache holds, and those that are read"
    submission.agree(forwards, models[0].forwards, lambda: models[1].forwards)


@pytest.mark.rubric("1.7", points=3)
def test_write_stops(submission, draw):
    """It stops at a stop token, even if that is the first token, and at a limit of 0."""
    for place in (0, draw.randint(1, 3), draw.randint(4, 7), 99):
        prompt, path = draw.ids(draw.randint(1, 4), WORDS), []
        state = draw.getstate()
        model = Model(draw.getrandbits(60))
        draw.setstate(state)
        for _ in range(8):
            scores = model.logits(prompt + path)
            path.append(scores.index(max(scores)))
        stops = frozenset([*path[place : place + 1], WORDS + 1])
        check_generate(submission, draw, prompt, 8, stop_ids=stops)
    check_generate(submission, draw, prompt, 0)


@pytest.mark.rubric("1.7", points=2, times=4)
def test_write_draws(submission, draw):
    """Tokens are drawn with the given settings and generator; the penalty covers prompt and answer."""
    fields = {"temperature": draw.uniform(0.5, 1.5), "repetition_penalty": draw.uniform(1.5, 2.5)}
    sampling = Record("step1_foundations.sampling:Sampling", fields)
    generator = submission.make("torch:Generator").make("manual_seed", draw.getrandbits(30))
    check_generate(submission, draw, draw.ids(6, WORDS), 10, sampling=sampling, generator=generator)


@pytest.mark.rubric("1.7", points=2, times=3)
def test_write_interrupted(submission, draw):
    """Ctrl-C in `on_token`: everything written so far, with that token, is returned."""
    check_generate(submission, draw, draw.ids(3, WORDS), 8, interrupted=draw.randint(1, 6))


@pytest.mark.rubric("1.7", points=1)
def test_write_last_place(submission, draw):
    """Only the last place's logits are computed; prefill and decode are timed separately."""
    for first in draw.sample([0.002, 0.03, 0.06], 3):  # seconds of the first forward
        delays = [first, *(draw.uniform(0.001, 0.01) for _ in range(4))]
        began = time.monotonic()
        done, [model, *_] = check_generate(submission, draw, draw.ids(5, WORDS), 5, delays=delays)
        prefill, decode = done.get("prefill_seconds"), done.get("decode_seconds")
        assert type(prefill) is type(decode) is float, "the seconds are no floats"
        assert delays[0] <= prefill <= model.times[1] - began, "the prefill's seconds are not its own"
        assert sum(delays[1:]) <= decode <= time.monotonic() - began, "the rest's seconds are not its own"
        assert {*model.places} == {1}, "logits of more places than the last were asked for"
