"""Step 4, the hidden tests: adapters and log-probabilities."""

import pytest
import torch

from classroom.protocol.wire import Record
from classroom.rubrics.step4_public import DPO, LOG_PROBS, LORA, NEAR, TABLE, batch, check_loss, lora


@pytest.mark.rubric("4.5", points=5)
def test_forward_of_any_shape(submission, draw):
    """With and without a bias, of ranks from one to larger than the matrix, of one token and of many."""
    for bias, r, tokens in ((True, 1, 1), (False, 12, 7), (True, draw.randint(2, 6), 30)):
        out, into = draw.sample(range(3, 12), 2)
        layer = Record(LORA, lora(draw, out, into, r, draw.choice([1, 5, 32]), bias))
        submission.check(f"{LORA}.forward", layer, draw.tensor(tokens, into), **NEAR)


@pytest.mark.rubric("4.5", points=5, times=3)
def test_merged_leaves_the_layer_as_it_was(submission, draw):
    """Merging twice gives the same, W stays, and the bias is not merged in."""
    out, into, r = draw.randint(3, 9), draw.randint(3, 9), draw.randint(2, 5)
    layer = submission.make(LORA, **lora(draw, out, into, r, draw.choice([1, 5, 32]), bias=True))
    layer.check("merged", **NEAR)
    layer.check("merged", **NEAR)
    layer.check_get("W")
    layer.check("forward", draw.tensor(2, into), **NEAR)


@pytest.mark.rubric("4.5", points=3, times=3)
def test_the_product_is_never_built(submission, draw):
    """x goes through A, then through B: the product B A would overflow."""
    out, into, r, tokens = draw.randint(3, 9), draw.randint(3, 9), draw.randint(2, 6), draw.randint(1, 3)
    fields, x = lora(draw, out, into, r, 8), draw.tensor(tokens, into)
    large, larger = draw.randint(180, 220), draw.randint(180, 220)
    for name, power in (("W", larger), ("A", large), ("B", larger)):
        fields[name] = fields[name].double() * 10.0**power
    submission.check(f"{LORA}.forward", Record(LORA, fields), x.double() * 10.0**-large)


@pytest.mark.rubric("4.5", points=2)
def test_the_adapter_gets_gradients(submission, draw):
    """A and B get gradients, W and x are not changed."""
    for bias in (True, False, True):
        out, into, r = draw.randint(3, 6), draw.randint(3, 6), draw.randint(1, 3)
        fields = lora(draw, out, into, r, draw.choice([2, 3]), bias)
        for name in "AB":
            fields[name] = submission.make("torch:tensor", fields[name].tolist(), requires_grad=True)
        layer = submission.make(LORA, **fields)
        x = submission.make("torch:tensor", draw.tensor(3, into).tolist())
        layer.make("forward", x).call("backward", draw.tensor(3, out))
        for name in ("A.grad", "B.grad", "W"):
            layer.check_get(name, **NEAR)
        x.check("tolist")


@pytest.mark.rubric("4.6", points=4, times=3)
def test_log_probs_of_padded_rows(submission, draw):
    """Replies and prompts of all lengths, padded; also a row that is all reply, and one without."""
    lengths = [(draw.randint(1, 5), draw.randint(1, 5)) for _ in range(4)]
    lengths += [(0, draw.randint(2, 4)), (draw.randint(2, 4), 0)]
    made = batch(draw, draw.sample(lengths, len(lengths)))
    model = submission.make(TABLE, draw.tensor(9, 9, scale=draw.choice([1, 4])))
    submission.check(LOG_PROBS, model, made, **NEAR)


@pytest.mark.rubric("4.6", points=2, times=3)
def test_log_probs_in_float32(submission, draw):
    """Logits in bfloat16 give log-probabilities in float32, with its precision."""
    made = batch(draw, [(draw.randint(1, 3), draw.randint(2, 6)) for _ in range(4)])
    submission.check(LOG_PROBS, submission.make(TABLE, draw.tensor(9, 9), "bfloat16"), made, **NEAR)


@pytest.mark.rubric("4.6", points=2, times=3)
def test_gradients_go_through_to_the_model(submission, draw):
    """The gradient of the log-probabilities reaches the model's logits."""
    made = batch(draw, [(draw.randint(1, 3), draw.randint(1, 4)) for _ in range(4)])
    model = submission.make(TABLE, draw.tensor(9, 9))
    submission.make(LOG_PROBS, model, made).call("backward", draw.tensor(4))
    model.check_get("logits.grad", rel=1e-3, abs=1e-4)


@pytest.mark.rubric("4.6", points=2)
def test_rewards_of_any_number_of_pairs(submission, draw):
    """The first half are chosen, the second rejected, whatever their number."""
    for n in (1, 2, draw.randint(3, 6)):
        policy, reference = (draw.tensor(2 * n, scale=8) - 40 for _ in range(2))
        submission.check(DPO, policy, reference, round(draw.uniform(0.05, 1), 2), **NEAR)


@pytest.mark.rubric("4.6", points=2, times=3)
def test_loss_of_large_margins(submission, draw):
    """The loss is right for a very large margin, positive or negative, and for a margin of 0."""
    large = torch.tensor([1000.0, -1000.0, 90.0, -90.0, 0.0]) * draw.uniform(0.9, 1.0)
    check_loss(submission, large, draw.tensor(5))


@pytest.mark.rubric("4.6", points=2)
def test_gradients_of_the_loss(submission, draw):
    """Chosen replies are pulled up as hard as rejected ones are pushed down."""
    for n in (1, 2, draw.randint(3, 5)):
        policy, reference = (draw.tensor(2 * n, scale=4) - 20 for _ in range(2))
        policy[0] += 400
        policy = submission.make("torch:tensor", policy.tolist(), requires_grad=True)
        found = submission.make(DPO, policy, reference, draw.uniform(0.1, 0.9))
        found.check_get("margin", **NEAR)
        found.part("loss").call("backward", draw.tensor(n))
        policy.check_get("grad", **NEAR)
