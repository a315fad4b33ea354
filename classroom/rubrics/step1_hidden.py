"""Step 1, what learners don't see."""

import math

import pytest
import torch

from classroom.rubrics.step1_public import WORDS, near_steps, scripted, share, tokens
from classroom.submission import Name

PENALTY, TOP_P = "step1_foundations.sampling:penalise_repetition", "step1_foundations.sampling:keep_top_p"
BITS, RMS_NORM = "step1_foundations.next_token:bits", "step1_foundations.block:rms_norm"
ROPE, ATTEND = "step1_foundations.block:rope", "step1_foundations.block:attend"
QUANTIZE, PRODUCT = "step1_foundations.int8:quantize_rows", "step1_foundations.int8:product"
WITH_ARGUMENTS, WRITE = "classroom.drivers.step1:with_arguments", "classroom.drivers.step1:write"


def alike(got, shape, dtype=torch.float32):
    """The tensor that was asked for: what comes from a submission may be anything."""
    assert type(got) is torch.Tensor, "the result is no tensor"
    assert tuple(got.shape) == tuple(shape), f"its shape is {tuple(got.shape)}"
    assert got.dtype == dtype, f"it is {got.dtype}"
    return got


def pair(got):
    """The tuple of two that was asked for."""
    assert type(got) is tuple, "the result is no pair"
    assert len(got) == 2, "the result is no pair"
    return got


def near(a, b, abs=1e-4):
    """Whether two tensors are alike; NaN is like nothing."""
    return bool(((a - b).abs() <= abs).all())


# --- 1.1: repetition penalty ------------------------------------------------------------------------------


@pytest.mark.rubric("1.1", points=3)
def test_penalty(submission, draw):
    """Many tokens, said more than once: each is penalised once."""
    for _ in range(3):
        logits = draw.tensor(40, scale=3)
        seen = torch.tensor([draw.randrange(40) for _ in range(60)])
        submission.check(PENALTY, logits, seen, draw.uniform(1.1, 3), rel=1e-5)


@pytest.mark.rubric("1.1", points=1)
def test_penalty_edges(submission, draw):
    """Nothing was said yet, a penalty under 1, and logits of zero."""
    for _ in range(3):
        logits = draw.tensor(9, scale=3)
        logits[draw.randrange(9)] = 0.0
        submission.check(PENALTY, logits, torch.zeros(0, dtype=torch.long), draw.uniform(1.1, 3))
        submission.check(PENALTY, logits, torch.arange(9), draw.uniform(0.3, 0.9), rel=1e-5)


@pytest.mark.rubric("1.1", points=2)
def test_penalty_leaves_its_arguments(submission, draw):
    """The logits that were given stay as they are."""
    for _ in range(3):
        logits, seen = draw.tensor(9, scale=3), torch.tensor(draw.sample(range(9), 4))
        submission.check(WITH_ARGUMENTS, Name(PENALTY), logits, seen, draw.uniform(1.1, 3), rel=1e-5)


# --- 1.2: surprisal and entropy ---------------------------------------------------------------------------


@pytest.mark.rubric("1.2", points=3)
def test_bits(submission, draw):
    """Texts and vocabularies of other sizes, in float32 and in bf16."""
    for i in range(4):
        T, V = draw.randint(1, 20), draw.randint(10, 60)
        logits = draw.tensor(T, V, scale=4)
        following = torch.tensor([draw.randrange(V) for _ in range(T)])
        submission.check(BITS, logits.bfloat16() if i % 2 else logits, following, rel=1e-4, abs=2e-4)


@pytest.mark.rubric("1.2", points=2)
def test_bits_far(submission, draw):
    """Logits in the thousands, far apart: nothing overflows, and what is hardly possible stays finite."""
    for _ in range(3):
        logits = draw.tensor(5, 12, scale=400) + draw.choice([-3000, 3000])
        following = torch.tensor([draw.randrange(12) for _ in range(5)])
        submission.check(BITS, logits, following, rel=1e-4, abs=5e-3)


@pytest.mark.rubric("1.2", points=2)
def test_bits_impossible(submission, draw):
    """Tokens that are impossible: infinite surprisal where one came, and nothing in the entropy."""
    for _ in range(3):
        logits, following = draw.tensor(6, 9, scale=2), torch.tensor([draw.randrange(9) for _ in range(6)])
        for place in range(6):
            logits[place, draw.sample(range(9), draw.randint(1, 7))] = -math.inf
        logits[0, following[0]] = -math.inf
        submission.check(BITS, logits, following, rel=1e-4, abs=2e-4)


# --- 1.3: RMSNorm -----------------------------------------------------------------------------------------


@pytest.mark.rubric("1.3", points=3)
def test_rms_norm(submission, draw):
    """Rows of other sizes and other numbers of rows, with a mean that is not 0."""
    for _ in range(3):
        T, d = draw.randint(1, 8), draw.randint(3, 40)
        x = draw.tensor(T, d, scale=draw.uniform(1, 20)) + draw.uniform(-5, 5)
        submission.check(RMS_NORM, x, draw.tensor(d), 1e-5, rel=1e-4, abs=1e-4)


@pytest.mark.rubric("1.3", points=3)
def test_rms_norm_eps(submission, draw):
    """Rows of zeros and tiny rows: eps is under the root, beside the mean square."""
    for _ in range(3):
        x = draw.tensor(4, 16, scale=draw.uniform(0.5e-3, 5e-3))
        x[draw.randrange(4)] = 0
        submission.check(
            RMS_NORM, x, draw.tensor(16) + 2, draw.choice([1e-4, 1e-5, 1e-6]), rel=1e-3, abs=1e-5
        )


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
        logits[draw.randrange(15)] += 20
        submission.check(TOP_P, logits, draw.uniform(0.3, 0.99))


@pytest.mark.rubric("1.4", points=3)
def test_top_p_after_top_k(submission, draw):
    """Some logits are minus infinity already."""
    for _ in range(3):
        logits = draw.tensor(20)
        logits[draw.sample(range(20), draw.randint(8, 16))] = -math.inf
        submission.check(TOP_P, logits, share(logits, draw.randint(1, nuclei(logits))))


# --- 1.5: RoPE --------------------------------------------------------------------------------------------


@pytest.mark.rubric("1.5", points=5)
def test_rope(submission, draw):
    """Other numbers of heads, places and pairs, other bases."""
    for _ in range(4):
        shape = draw.randint(1, 5), draw.randint(6, 14), 2 * draw.randint(2, 16)
        submission.check(ROPE, draw.tensor(*shape), draw.uniform(50, 100_000), rel=1e-4, abs=3e-4)


@pytest.mark.rubric("1.5", points=3)
def test_rope_distance(submission, draw):
    """The product of a turned query and a turned key depends on how far apart they stand, not on where."""
    for _ in range(3):
        T, dim, base = draw.randint(6, 12), 2 * draw.randint(2, 8), draw.uniform(10, 1000)
        rows = [draw.tensor(2, 1, dim).repeat(1, T, 1) for _ in range(2)]  # the same at every place
        q, k = (alike(submission.call(ROPE, each, base), each.shape) for each in rows)
        assert not near(q[:, 1:], rows[0][:, 1:], abs=0.02), "nothing is turned"
        scores = q @ k.transpose(1, 2)
        apart = [scores.diagonal(distance, dim1=1, dim2=2) for distance in range(1 - T, T)]
        assert all(near(each, each[:, :1], abs=5e-3) for each in apart), "the same distance, another product"


@pytest.mark.rubric("1.5", points=2)
def test_rope_turns(submission, draw):
    """Place 0 is not turned; at every other place each pair changes, and keeps its length."""
    for _ in range(3):
        T, half = draw.randint(2, 8), draw.randint(2, 8)
        x = draw.tensor(3, T, 2 * half)
        got = alike(submission.call(ROPE, x, draw.uniform(10, 1000)), x.shape)
        assert near(got[:, 0], x[:, 0]), "place 0 is turned"
        assert all(not near(got[:, t], x[:, t], abs=0.02) for t in range(1, T)), "a later place is not turned"
        lengths = [each.reshape(3, T, 2, half).norm(dim=2) for each in (got, x)]
        assert near(*lengths, abs=1e-3), "a pair has not kept its length"


# --- 1.6: attention ---------------------------------------------------------------------------------------


@pytest.mark.rubric("1.6", points=5)
def test_attend_grouped(submission, draw):
    """Heads in groups that share keys and values: each group has its own."""
    for heads, kv_heads in ((6, 2), (4, 1), (6, 3), (3, 3)):
        T, dim = draw.randint(2, 9), draw.randint(2, 12)
        q, k, v = (draw.tensor(n, T, dim) for n in (heads, kv_heads, kv_heads))
        submission.check(ATTEND, q, k, v, rel=1e-4, abs=1e-4)


@pytest.mark.rubric("1.6", points=4)
def test_attend_future(submission, draw):
    """What comes later changes nothing before it, and what came before is seen."""
    for _ in range(3):
        T, dim = draw.randint(4, 8), draw.randint(2, 6)
        q, k, v = draw.tensor(2, T, dim), draw.tensor(2, T, dim), draw.tensor(2, T, dim)
        now = draw.randint(1, T - 2)
        later = [each.clone() for each in (q, k, v)]
        for each in later:
            each[:, now + 1 :] += draw.tensor(2, T - now - 1, dim)
        shape = (2, T, dim)
        before = alike(submission.call(ATTEND, q, k, v), shape)
        after = alike(submission.call(ATTEND, *later), shape)
        assert near(before[:, : now + 1], after[:, : now + 1]), "a place sees what comes after it"
        assert near(before[:, 0], v[:, 0]), "place 0, which sees itself only, doesn't get its own value"
        v[:, 0] += 3
        other = alike(submission.call(ATTEND, q, k, v), shape)
        assert not near(before[:, -1], other[:, -1]), "the last place doesn't see the first"


@pytest.mark.rubric("1.6", points=4)
def test_attend_edges(submission, draw):
    """One place only, and scores so large that an exponential overflows."""
    for size in (1, 20, 60):
        q, k, v = draw.tensor(4, 1, 6), draw.tensor(2, 1, 6), draw.tensor(2, 1, 6)
        submission.check(ATTEND, q, k, v, rel=1e-4, abs=1e-4)
        q, k, v = draw.tensor(2, 5, 8, scale=size), draw.tensor(2, 5, 8, scale=size), draw.tensor(2, 5, 8)
        submission.check(ATTEND, q, k, v, rel=1e-2, abs=2e-2)


# --- 1.7: int8 --------------------------------------------------------------------------------------------


@pytest.mark.rubric("1.7", points=3)
def test_quantize(submission, draw):
    """Larger matrices, whose scales bf16 has to round: rows are rounded with the scale that is kept."""
    for _ in range(3):
        weight, _ = near_steps(draw, draw.randint(2, 9), draw.randint(12, 40), draw.uniform(0.33, 0.42))
        submission.check(QUANTIZE, weight)


@pytest.mark.rubric("1.7", points=2)
def test_quantize_edges(submission, draw):
    """A row of zeros, a matrix in bf16, and a matrix that is still needed afterwards."""
    for dtype in (torch.float32, torch.bfloat16, torch.float32):
        weight, whole = near_steps(draw, 4, 6, off=0.0)
        zero = draw.randrange(4)
        weight[zero], whole[zero] = 0, 0
        weight = weight.to(dtype)
        result, arguments = pair(submission.call(WITH_ARGUMENTS, Name(QUANTIZE), weight))
        rounded, scale = pair(result)
        rounded, scale = alike(rounded, (4, 6), torch.int8), alike(scale, (4,), torch.bfloat16)
        assert torch.equal(rounded, whole), "a row is rounded to something else"
        assert bool(scale.isfinite().all()), "a scale is not finite"
        assert type(arguments) is list
        assert len(arguments) == 1
        assert torch.equal(alike(arguments[0], (4, 6), dtype), weight), (
            "the matrix that was given has changed"
        )


@pytest.mark.rubric("1.7", points=3)
def test_product(submission, draw):
    """A product with an int8 matrix is nearly that with the matrix it came from."""
    for rows, columns in ((12, 12), (9, 30), (17, 5)):
        weight = torch.tensor(
            [[draw.randint(-127, 127) for _ in range(columns)] for _ in range(rows)], dtype=torch.int8
        )
        scale = torch.tensor([draw.choice([0.002, 0.01, 0.03]) for _ in range(rows)]).bfloat16()
        x = draw.tensor(draw.randint(1, 12), columns).bfloat16()
        submission.check(PRODUCT, x, weight, scale, rel=2e-2, abs=0.1)


# --- 1.8: the loop ----------------------------------------------------------------------------------------


@pytest.mark.rubric("1.8", points=3)
def test_write_cached(submission, draw):
    """Each forward reads only what is new, and knows all that came before by its cache."""
    for _ in range(3):
        _, told, asked = scripted(draw)
        prompt, n = tokens(draw, draw.randint(3, 8)), draw.randint(4, 7)
        submission.call(WRITE, told, prompt, n)
        read, known = [len(each[0]) for each in asked], [len(each[1]) for each in asked]
        assert read[:1] == [len(prompt)], "the first forward doesn't read the prompt"
        assert set(read[1:]) == {1}, f"the forwards read {read} tokens"
        assert known == list(range(len(prompt), len(prompt) + n)), (
            f"with the cache they know of {known} tokens"
        )


@pytest.mark.rubric("1.8", points=3)
def test_write_stops(submission, draw):
    """It stops at a token that means so, also at the very first one; and at a limit of nothing."""
    for place in (0, draw.randint(1, 3), draw.randint(4, 7), 99):
        logits, told, _ = scripted(draw)
        prompt, path = tokens(draw, draw.randint(1, 4)), []
        for _ in range(8):
            scores = logits(prompt + path)
            path.append(scores.index(max(scores)))
        stops = [*path[place : place + 1], WORDS + 1]
        submission.check(WRITE, told, prompt, 8, stops)
    submission.check(WRITE, told, prompt, 0)


@pytest.mark.rubric("1.8", points=2, depends=("1.1",))
def test_write_draws(submission, draw):
    """Tokens are drawn as the settings say, from one generator, with a penalty on prompt and answer."""
    for _ in range(4):
        _, told, _ = scripted(draw)
        how = {"temperature": draw.uniform(0.5, 1.5), "repetition_penalty": draw.uniform(1.5, 2.5)}
        seed = draw.getrandbits(30)
        submission.check(WRITE, told, tokens(draw, 6), 10, how=how, seed=seed)


@pytest.mark.rubric("1.8", points=2)
def test_write_interrupted(submission, draw):
    """Ctrl-C while a token is heard: what was written, with that token, is returned."""
    for _ in range(3):
        _, told, _ = scripted(draw)
        submission.check(WRITE, told, tokens(draw, 3), 8, interrupt_after=draw.randint(1, 6))


@pytest.mark.rubric("1.8", points=1)
def test_write_last_place(submission, draw):
    """Only the last place's logits are asked for, and the prefill's time is told from the rest."""
    for _ in range(3):
        _, told, asked = scripted(draw)
        assert submission.call("classroom.drivers.step1:timed", told, tokens(draw, 5), 5) is True, (
            "the seconds of prefill and decoding are not those of their forwards"
        )
        assert {places for _, _, places in asked} == {1}, "logits of more places than the last were asked for"
