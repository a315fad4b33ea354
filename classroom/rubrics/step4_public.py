"""Step 4, the public tests: each draws its inputs, so that a class can have its own."""

from typing import Any

import pytest
import torch

from classroom.protocol.wire import Record

ALLOWS, FOUND = "step4_finetune.tone.rules:Check.allows", "step4_finetune.tone.rules:Check.found"
NOISE = "step4_finetune.data.curate.labels:label_noise"
LORA = "step4_finetune.by_hand.lora:Lora"
TURN, ADVANTAGES = "step4_finetune.by_hand.mask:Turn", "step4_finetune.by_hand.grpo:advantages"
LABELS, MASKED_LOSS = (f"step4_finetune.by_hand.mask:{name}" for name in ("token_labels", "masked_loss"))
MEANS, INTERVAL = (
    f"step4_finetune.by_hand.paired:{name}" for name in ("mean_differences", "paired_interval")
)
LOG_PROBS, DPO, LOSS = (f"step4_finetune.by_hand.dpo_loss:{name}" for name in ("log_probs", "dpo", "Loss"))
TABLE = "classroom.drivers.step4:Table"
NEAR = {"rel": 1e-4, "abs": 1e-4}  # of numbers in float32


def parts(body, greeting="Dear member,", sign_off="Kind regards,\nNorthwind Care"):
    """A reply in its parts."""
    fields = {
        "reply": "\n\n".join(each for each in (greeting, body, sign_off) if each),
        "greeting": greeting,
        "body": body,
        "sign_off": sign_off,
        "sentences": tuple(f"{each}." for each in body.removesuffix(".").split(". ") if each),
    }
    return Record("step4_finetune.tone.text:Parts", fields)


def rule(kind, *values, **fields):
    """A check of a tone guide."""
    return Record("step4_finetune.tone.rules:Check", {"kind": kind, "values": values, **fields})


@pytest.mark.rubric("4.2", points=3, visibility="public")
def test_sentences_are_counted(submission, draw):
    """Replies with too few, enough, and too many sentences."""
    for n in (1, draw.randint(2, 3), draw.randint(4, 6)):
        reply = parts(" ".join(draw.sentence(5) for _ in range(n)))
        bounds = ((n, n), (1, n - 1 or 1), (n + 1, None), (1, None), (0, n - 1), (0, n))
        for low, high in draw.sample(bounds, 6):
            submission.check(ALLOWS, rule("sentences", low=low, high=high, where="body"), reply)


@pytest.mark.rubric("4.2", points=2, times=3, visibility="public")
def test_words_are_found(submission, draw):
    """Forbidden words and phrases in any case, but not inside of longer words."""
    one, two, three = draw.words(3)
    reply = parts(f"The {one} is {one.upper()}, {two} {three}. A {two}  {three}, {two}{three}, {one}s.")
    submission.check(FOUND, rule("forbid_words", one, f"{two} {three}"), reply)


def row(id, message, chosen, rejected=None, **fields):
    """A row of data."""
    prompt = ({"role": "user", "content": message},)
    named = {"id": id, "prompt": prompt, "chosen": chosen, "rejected": rejected, **fields}
    return Record("step4_finetune.data.rows:Row", named)


@pytest.mark.rubric("4.3", points=4, times=3, visibility="public")
def test_pairs_with_wrong_labels(submission, draw):
    """A chosen reply that breaks a rule, and a rejected one that breaks none."""
    good, bad, worse = (draw.sentence(5) for _ in range(3))
    one, other = draw.words(2)
    known = {good: {}, bad: {one: draw.text(1)}, worse: {one: draw.text(2), other: draw.text(1)}}
    pairs = [(good, bad), (bad, worse), (good, good), (worse, good)]
    rows = [row(f"{one}-{at}", "Where is it?", *pair) for at, pair in enumerate(draw.sample(pairs, 4))]
    submission.check(NOISE, rows, lambda reply: known[reply])


def lora(draw, out, into, r, alpha, bias=False) -> dict[str, Any]:
    """The fields of a matrix and its adapter, as after training."""
    fields = {"W": draw.tensor(out, into), "A": draw.tensor(r, into), "B": draw.tensor(out, r)}
    return fields | {"alpha": alpha, "bias": draw.tensor(out) if bias else None}


@pytest.mark.rubric("4.5", points=3, times=3, visibility="public")
def test_forward(submission, draw):
    """The layer's output with what the adapter adds to it."""
    out, into, r = draw.randint(4, 9), draw.randint(4, 9), draw.randint(1, 3)
    layer = Record(LORA, lora(draw, out, into, r, alpha=draw.randint(1, 16)))
    submission.check(f"{LORA}.forward", layer, draw.tensor(5, into), **NEAR)


@pytest.mark.rubric("4.5", points=2, times=3, visibility="public")
def test_merged(submission, draw):
    """One matrix in place of W, A and B."""
    fields = lora(draw, draw.randint(4, 9), draw.randint(4, 9), draw.randint(1, 3), draw.randint(1, 16))
    submission.check(f"{LORA}.merged", Record(LORA, fields), **NEAR)


def batch(draw, lengths, vocabulary=9):
    """Rows of a prompt and a reply of these lengths, padded on the right with token 0."""
    width = max(map(sum, lengths))
    ids = [
        [draw.randrange(1, vocabulary) for _ in range(prompt + reply)] + [0] * (width - prompt - reply)
        for prompt, reply in lengths
    ]
    fields = {
        "ids": torch.tensor(ids),
        "attention": torch.tensor([[int(t < p + r) for t in range(width)] for p, r in lengths]),
        "completion": torch.tensor([[int(p <= t < p + r) for t in range(width)] for p, r in lengths]),
    }
    return Record("step4_finetune.by_hand.dpo_loss:Batch", fields)


def check_loss(submission, chosen, rejected):
    """Compare the margin and the loss of these rewards."""
    loss = submission.make(LOSS, chosen, rejected)
    loss.check_get("margin", **NEAR)
    loss.check_get("loss", **NEAR)


@pytest.mark.rubric("4.6", points=3, times=3, visibility="public")
def test_log_probs_of_replies(submission, draw):
    """The log-probabilities of replies that are all of one length."""
    prompt, reply, n = draw.randint(1, 3), draw.randint(1, 4), draw.choice([2, 4])
    made = batch(draw, [(prompt, reply)] * n)
    submission.check(LOG_PROBS, submission.make(TABLE, draw.tensor(9, 9)), made, **NEAR)


@pytest.mark.rubric("4.6", points=3, times=3, visibility="public")
def test_rewards_and_loss(submission, draw):
    """Rewards from log-probabilities; margin and loss from rewards."""
    policy, reference = (draw.tensor(4, scale=5) - 20 for _ in range(2))
    submission.check(DPO, policy, reference, draw.choice([0.1, 0.3, 0.5]), **NEAR)
    check_loss(submission, draw.tensor(3), draw.tensor(3))


def chat(draw, *roles):
    """A chat of turns with these roles: headers of one or two tokens, contents of one to four."""
    turns = []
    for role in roles:
        header = tuple(draw.randrange(1, 9) for _ in range(draw.randint(1, 2)))
        content = tuple(draw.randrange(1, 9) for _ in range(draw.randint(1, 4)))
        turns.append(Record(TURN, {"role": role, "header": header, "content": content}))
    return turns


@pytest.mark.rubric("4.1", points=2, times=3, visibility="public")
def test_labels_of_two_turns(submission, draw):
    """A chat of a question, a reply, a question and a reply."""
    submission.check(LABELS, chat(draw, "user", "assistant", "user", "assistant"))


@pytest.mark.rubric("4.1", points=2, times=3, visibility="public")
def test_the_loss_of_a_reply(submission, draw):
    """The loss where the second half of the tokens counts."""
    n = draw.randint(2, 5)
    labels = torch.tensor([-100] * n + [draw.randrange(7) for _ in range(n)])
    submission.check(MASKED_LOSS, draw.tensor(2 * n, 7), labels, **NEAR)


@pytest.mark.rubric("4.4", points=4, times=3, visibility="public")
def test_advantages_of_one_message(submission, draw):
    """The replies to one message."""
    n = draw.randint(3, 6)
    rewards = torch.tensor([float(reward) for reward in draw.sample(range(10), n)])
    submission.check(ADVANTAGES, rewards, n, rel=1e-3, abs=1e-3)


@pytest.mark.rubric("4.7", points=2, times=3, visibility="public")
def test_mean_differences(submission, draw):
    """The mean difference of two systems in each draw."""
    n, times = draw.randint(4, 8), draw.randint(3, 6)
    drawn = torch.tensor([[draw.randrange(n) for _ in range(n)] for _ in range(times)])
    submission.check(MEANS, draw.tensor(n), draw.tensor(n), drawn, **NEAR)


@pytest.mark.rubric("4.7", points=2, times=3, visibility="public")
def test_the_interval(submission, draw):
    """The middle 95 % of the mean differences."""
    n, times = draw.randint(4, 8), draw.randint(20, 30)
    drawn = torch.tensor([[draw.randrange(n) for _ in range(n)] for _ in range(times)])
    submission.check(INTERVAL, draw.tensor(n), draw.tensor(n), drawn, **NEAR)
