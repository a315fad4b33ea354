"""Step 1, the public tests: each draws its inputs, so that a class can have its own.

`submission.check` calls your function and compares the result with the reference's. A failure names the call
and the first place that differs.
"""

import random
import time

import pytest
import torch

from classroom.grading.callbacks import Interrupted
from classroom.grading.submission import Fresh

PENALTY, TOP_P = "step1_foundations.sampling:penalize_repetition", "step1_foundations.sampling:keep_top_p"
BITS, RMS_NORM = "step1_foundations.next_token:bits", "step1_foundations.block:rms_norm"
ROPE, ATTEND = "step1_foundations.block:rope", "step1_foundations.block:attend"
QUANTIZE, PRODUCT = "step1_foundations.int8:quantize_rows", "step1_foundations.int8:product"
GENERATE = "step1_foundations.generate:generate"
WORDS = 12  # tokens that the scripted model of 1.8 knows


@pytest.mark.rubric("1.4", points=2, times=3, visibility="public")
def test_penalty_small(submission, draw):
    """Two seen tokens become less likely, one with a positive logit and one with a negative one."""
    logits = torch.tensor([draw.uniform(0.5, 3) * sign for sign in (1, -1, 1, -1, 1)])
    seen = torch.tensor(draw.sample([draw.choice([0, 2, 4]), draw.choice([1, 3])], 2))
    submission.check(PENALTY, logits, seen, round(draw.uniform(1.1, 2), 2))


@pytest.mark.rubric("1.5", points=3, times=3, visibility="public")
def test_bits_small(submission, draw):
    """Four places of a vocabulary of six: all three results, in bits."""
    following = torch.tensor(draw.ids(4, 6))
    submission.check(BITS, draw.tensor(4, 6, scale=2), following, rel=1e-4, abs=1e-4)


@pytest.mark.rubric("1.3", points=2, times=3, visibility="public")
def test_rms_norm_small(submission, draw):
    """Three rows of four numbers get root-mean-square 1, times the weight."""
    x, weight = draw.tensor(3, 4, scale=3) + 1, draw.tensor(4)
    submission.check(RMS_NORM, x, weight, 1e-5, rel=1e-4, abs=1e-5)


def p_of_nucleus(logits, n):
    """A p whose nucleus has n tokens: halfway between the sums of the n - 1 and the n most probable ones."""
    sums = logits.double().softmax(-1).sort(descending=True).values.cumsum(-1).tolist()
    return (([0.0, *sums][n - 1]) + sums[n - 1]) / 2


@pytest.mark.rubric("1.6", points=4, visibility="public")
def test_top_p_small(submission, draw):
    """Of six tokens, the two or three that reach p keep their logits."""
    for n in (2, 3, 2, 3):  # tokens in the nucleus
        logits = draw.tensor(6)
        submission.check(TOP_P, logits, p_of_nucleus(logits, n))


@pytest.mark.rubric("1.1", points=4, visibility="public")
def test_rope_small(submission, draw):
    """Two heads, three places, two pairs: each pair is turned by its angle."""
    # Place 0 comes back as it was. At place 1 the first pair, (x[0], x[2]), is turned by 1 for any base.
    for base in (10.0, 100.0, 10_000.0):
        submission.check(ROPE, draw.tensor(2, 3, 4), base, rel=1e-4, abs=1e-4)


@pytest.mark.rubric("1.2", points=5, times=3, visibility="public")
def test_attend_small(submission, draw):
    """Two heads with keys and values of their own, three places."""
    # Place 0 sees itself only, so what it gets is v at place 0.
    q, k, v = (draw.tensor(2, 3, 4) for _ in range(3))
    submission.check(ATTEND, q, k, v, rel=1e-4, abs=1e-4)


def near_steps(draw, rows, columns, excess=0.0, off=0.3):
    """A weight matrix, and what it is in int8: each number is within `off` steps of a whole number of steps.

    A row's largest number is 127 steps, times 1 + `excess` / 128; the step is a power of two.
    """
    whole = torch.tensor([[draw.randint(-126, 126) for _ in range(columns)] for _ in range(rows)])
    weight = whole + torch.tensor([[draw.uniform(-off, off) for _ in range(columns)] for _ in range(rows)])
    for row in range(rows):
        largest = draw.randrange(columns)
        whole[row, largest] = draw.choice([-127, 127])
        weight[row, largest] = whole[row, largest] * (1 + excess / 128)
        weight[row] *= 2.0 ** -draw.randint(4, 9)
    return weight, whole.to(torch.int8)


@pytest.mark.rubric("1.8", points=3, times=3, visibility="public")
def test_quantize_small(submission, draw):
    """Three rows, each with its own scale, are rounded to int8."""
    # Each number is near a whole number of steps, and a row's largest is 127 of them: there is no close call.
    submission.check(QUANTIZE, near_steps(draw, 3, 5)[0])


@pytest.mark.rubric("1.8", points=1, times=3, visibility="public")
def test_product_small(submission, draw):
    """Two rows times an int8 matrix of three rows, each with its own scale."""
    weight = torch.tensor([[draw.randint(-127, 127) for _ in range(4)] for _ in range(3)], dtype=torch.int8)
    scale = torch.tensor(draw.sample([0.002, 0.01, 0.03], 3)).bfloat16()
    submission.check(PRODUCT, draw.tensor(2, 4).bfloat16(), weight, scale, rel=2e-2, abs=0.1)


class Model:
    """Answers `classroom.drivers.step1:Scripted`: the logits follow, secretly, from all ids that were read.

    Each forward leaves a cache with a number that nobody can guess; a forward that brings it need not read
    its ids again. `token` is the on_token: after `interrupted` tokens it raises Ctrl-C. `delays`: the seconds
    that each forward takes.
    """

    def __init__(self, seed, delays=(), interrupted=0):
        self.seed, self.delays, self.left = seed, list(delays), interrupted
        self.known = {0: []}  # ids by the number of a cache
        self.forwards, self.heard, self.places, self.times = [], [], [], []

    def logits(self, context):
        numbers = random.Random(f"{self.seed} {context}")
        return [round(numbers.gauss(0, 3), 3) for _ in range(WORDS)]

    def forward(self, cache, read, places):
        plain = type(cache) is int and type(read) is list and all(type(each) is int for each in read)
        if not plain or cache not in self.known or not 1 <= places <= len(read) <= 100:
            raise ValueError("not what a model can be asked")
        if len(self.known[cache]) > 100 or len(self.known) > 1000:
            raise ValueError("the loop did not stop at max_new_tokens")
        self.times.append(time.monotonic())
        known = [*self.known[cache], *read]
        self.forwards.append([len(known) - len(read), read])
        self.places.append(places)
        number = random.Random(f"{self.seed} {known} cache").getrandbits(52)
        self.known[number] = known
        if self.delays:
            time.sleep(self.delays.pop(0))
        return [self.logits(known[: len(known) - places + 1 + i]) for i in range(places)], number

    def token(self, token):
        self.heard.append(token)
        self.left -= 1
        if not self.left:
            raise Interrupted


def check_generate(submission, draw, prompt, n, delays=(), interrupted=0, **more):
    """Compare what the loop writes on such a model, why it ends and what `on_token` gets."""
    seed, models = draw.getrandbits(60), []

    def model():
        models.append(Model(seed, delays, interrupted))
        return models[-1].forward

    stand_in = submission.make("classroom.drivers.step1:Scripted", Fresh(model))
    hears = Fresh(iter([each.token for each in models]).__next__)
    done = submission.make(GENERATE, stand_in, torch.tensor([prompt]), n, on_token=hears, **more)
    for name in ("ids", "stop_reason", "stop_id"):
        done.check_get(name)
    submission.agree("what on_token heard", models[0].heard, lambda: models[1].heard)
    return done, models


@pytest.mark.rubric("1.7", points=5, visibility="public")
def test_write_small(submission, draw):
    """Greedy answers to three prompts, until the limit."""
    # The model is a script in the test: its logits depend on all ids that were read, so a loop that forgets
    # the cache, or reads an id twice, gets other tokens. See classroom/drivers/step1.py.
    for length in (1, 3, 5):
        check_generate(submission, draw, draw.ids(length, WORDS), draw.randint(3, 6))
