"""Step 4, the hidden tests: masks, adapters, log-probabilities, advantages and a paired bootstrap."""

import pytest
import torch

from classroom.protocol.wire import Record
from classroom.rubrics.step4_public import (
    ADVANTAGES,
    DPO,
    INTERVAL,
    LABELS,
    LOG_PROBS,
    LORA,
    MASKED_LOSS,
    MEANS,
    NEAR,
    TABLE,
    batch,
    chat,
    check_loss,
    lora,
)


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


@pytest.mark.rubric("4.1", points=2, times=3)
def test_labels_of_the_last_reply_only(submission, draw):
    """Only the last reply is learned, wherever it stands; a chat without one, an empty chat."""
    for roles in (
        ("system", "user", "assistant", "user", "assistant"),
        ("user", "assistant", "user"),
        ("system", "user"),
        (),
    ):
        submission.check(LABELS, chat(draw, *roles), True)


@pytest.mark.rubric("4.1", points=2, times=3)
def test_labels_of_other_chats(submission, draw):
    """A system message, replies at the start, in a row, and none at all."""
    for roles in (
        ("system", "user", "assistant"),
        ("assistant", "user", "assistant", "assistant"),
        ("system", "user"),
        (),
    ):
        submission.check(LABELS, chat(draw, *roles))


@pytest.mark.rubric("4.1", points=2, times=3)
def test_the_loss_of_scattered_labels(submission, draw):
    """Labels at both ends and in between; none at all; logits so large that exp overflows."""
    labels = torch.tensor([3, -100, 2, -100, -100, 5, 6])
    logits = draw.tensor(7, 7)
    submission.check(MASKED_LOSS, logits, labels, **NEAR)
    submission.check(MASKED_LOSS, logits * 1000, labels, **NEAR)
    submission.check(MASKED_LOSS, logits, torch.full((7,), -100), **NEAR)


@pytest.mark.rubric("4.4", points=4, times=3)
def test_advantages_of_several_messages(submission, draw):
    """Each message has a group of its own."""
    group, messages = draw.randint(2, 5), draw.randint(2, 4)
    rewards = torch.tensor([draw.sample(range(10), group) for _ in range(messages)]).float()
    rewards += 10 * torch.arange(messages)[:, None]  # easy messages and hard ones
    submission.check(ADVANTAGES, rewards.flatten(), group, rel=1e-3, abs=1e-3)


@pytest.mark.rubric("4.4", points=2, times=3)
def test_advantages_of_equal_replies(submission, draw):
    """Replies that are equally good, and those that hardly differ."""
    equal = torch.full((4,), float(draw.randint(0, 3)))
    near = equal + torch.tensor([0.0, 1e-4, 2e-4, 0.0])
    submission.check(ADVANTAGES, torch.cat([equal, near]), 4, rel=0.1, abs=1e-4)


@pytest.mark.rubric("4.7", points=3, times=3)
def test_equal_systems_and_single_messages(submission, draw):
    """Two systems that are the same, and verdicts that are true or false as numbers."""
    n = draw.randint(5, 9)
    drawn = torch.tensor([[draw.randrange(n) for _ in range(n)] for _ in range(6)])
    one, other = (torch.tensor([float(draw.randint(0, 1)) for _ in range(n)]) for _ in range(2))
    submission.check(MEANS, one, other, drawn, **NEAR)
    submission.check(MEANS, one, one, drawn, **NEAR)
    submission.check(MEANS, one, other, torch.full((3, n), n - 1), **NEAR)


@pytest.mark.rubric("4.7", points=3, times=3)
def test_intervals_of_other_levels(submission, draw):
    """Levels other than 95 %, and few draws, between which the quantiles lie."""
    n = draw.randint(5, 9)
    drawn = torch.tensor([[draw.randrange(n) for _ in range(n)] for _ in range(7)])
    one, other = draw.tensor(n), draw.tensor(n)
    for level in (0.5, 0.8, 0.99):
        submission.check(INTERVAL, one, other, drawn, level, **NEAR)
