"""Step 1, what learners don't see: the parts of a block."""

import pytest
import torch

from classroom.rubrics.step1_public import near_steps

RMS_NORM = "step1_foundations.block:rms_norm"
ROPE, ATTEND = "step1_foundations.block:rope", "step1_foundations.block:attend"
QUANTIZE, PRODUCT = "step1_foundations.int8:quantize_rows", "step1_foundations.int8:product"


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


# --- 1.5: RoPE --------------------------------------------------------------------------------------------


@pytest.mark.rubric("1.5", points=10)
def test_rope(submission, draw):
    """Other numbers of heads, places and pairs, other bases."""
    for _ in range(4):
        shape = draw.randint(1, 5), draw.randint(6, 14), 2 * draw.randint(2, 16)
        submission.check(ROPE, draw.tensor(*shape), draw.uniform(50, 100_000), rel=1e-4, abs=3e-4)


# --- 1.6: attention ---------------------------------------------------------------------------------------


@pytest.mark.rubric("1.6", points=8)
def test_attend_grouped(submission, draw):
    """Heads in groups that share keys and values: each group has its own."""
    for heads, kv_heads in ((6, 2), (4, 1), (6, 3), (3, 3)):
        T, dim = draw.randint(2, 9), draw.randint(2, 12)
        q, k, v = (draw.tensor(n, T, dim) for n in (heads, kv_heads, kv_heads))
        submission.check(ATTEND, q, k, v, rel=1e-4, abs=1e-4)


@pytest.mark.rubric("1.6", points=5)
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
    for dtype in ("float", "bfloat16", "float"):
        weight, whole = near_steps(draw, 4, 6, off=0.0)
        zero = draw.randrange(4)
        weight[zero], whole[zero] = 0, 0
        steps = weight.abs().amax(dim=1) / 127
        kept = submission.make("torch:tensor", weight.tolist()).keep(dtype)
        for _ in range(2):  # the same matrix
            rounded, scale = pair(submission.call(QUANTIZE, kept))
            rounded, scale = alike(rounded, (4, 6), torch.int8), alike(scale, (4,), torch.bfloat16)
            assert torch.equal(rounded, whole), "a row is rounded to something else"
            assert bool(scale.isfinite().all()), "a scale is not finite"
            scale[zero] = 0  # any will do
            assert torch.equal(scale.float(), steps), "a scale is another one"


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
