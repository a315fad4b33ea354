"""Step 4, what learners see: each test draws its inputs, so that a class can have its own."""

import pytest
import torch

from classroom.protocol.wire import Record
from classroom.rubrics.step4_scenes import answers_of

ALLOWS, FOUND = "step4_finetune.tone.rules:Check.allows", "step4_finetune.tone.rules:Check.found"
NOISE = "step4_finetune.data.curate.labels:label_noise"
NEAR = {"rel": 1e-4, "abs": 1e-4}  # of numbers in float32
LOG_PROBS, TABLE = "step4_finetune.by_hand.dpo_loss:log_probs", "classroom.drivers.step4:Table"

# --- what tests of this step are made of ------------------------------------------------------------------


def sentence(draw, n=5):
    """Words with a capital in front and a full stop behind."""
    return draw.text(n).capitalize() + "."


def parts(body, greeting="Dear member,", sign_off="Kind regards,\nNorthwind Care"):
    """A reply that has been taken apart, its sentences by full stops."""
    fields = {
        "reply": "\n\n".join(each for each in (greeting, body, sign_off) if each),
        "greeting": greeting,
        "body": body,
        "sign_off": sign_off,
        "sentences": tuple(f"{each}." for each in body.removesuffix(".").split(". ") if each),
    }
    return Record("step4_finetune.tone.text:Parts", fields)


def check(kind, *values, **fields):
    """A check of a tone guide."""
    return Record("step4_finetune.tone.rules:Check", {"kind": kind, "values": values, **fields})


def row(id, message, chosen, rejected=None, **fields):
    """A row of data."""
    prompt = ({"role": "user", "content": message},)
    named = {"id": id, "prompt": prompt, "chosen": chosen, "rejected": rejected, **fields}
    return Record("step4_finetune.data.rows:Row", named)


def reworded(draw, words, n):
    """The same words but for n of them."""
    words = list(words)
    for at in draw.sample(range(len(words)), n):
        words[at] = draw.choice([each for each in draw.words(len(words) + 1) if each != words[at]])
    return words


def lora(draw, out, into, r, alpha, bias=False):
    """One matrix and its adapter, as if that had learnt."""
    matrices = {"W": draw.tensor(out, into), "A": draw.tensor(r, into), "B": draw.tensor(out, r)}
    fields = {**matrices, "alpha": alpha, "bias": draw.tensor(out) if bias else None}
    return Record("step4_finetune.by_hand.lora:Lora", fields)


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


# --- 4.1 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "4.1",
    points=3,
    visibility="public",
    title="The parts of a reply",
    hint=(
        "A reply may lack greeting or sign-off; a sign-off is at the end, and spaces behind it don't count.",
        "Look for two places in the tidy reply, where the greeting ends and where the sign-off begins, each "
        "first by the known texts, then by the pattern. All parts are slices between these places.",
        "`next((len(each) for each in greetings if begins(reply, each)), None)` is the start, the end alike; "
        "where it is None, `SALUTATION.match(reply)` or `SIGNATURE.search(reply, start)` may find it.",
    ),
)
def test_a_reply_in_its_frame(submission, draw):
    """A known greeting and a known sign-off are taken off."""
    for _ in range(3):
        one, other = draw.names(2)
        greetings = [f"Dear {one},", f"To {other}, who wrote to us, and who is a member:"]
        sign_offs = [f"Kind regards,\n{one}", f"This was {other}, for all of us."]
        for greeting, sign_off in zip(greetings, draw.sample(sign_offs, 2), strict=True):
            reply = f"{greeting}\n\n{sentence(draw)} {sentence(draw)}\n\n{sign_off}"
            submission.check("step4_finetune.tone.text:take_apart", reply, greetings, sign_offs)


# --- 4.2 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "4.2",
    points=3,
    visibility="public",
    title="Tone rules",
    hint=(
        "A rule that only forbids is kept by an empty reply, too. Should it? And a dot in a word is a dot.",
        "First turn away replies that say nothing, then see to `require`, then count. Around a word, look "
        "ahead and behind (`(?<!...)`, `(?!...)`): what is looked at is not part of the match.",
        "`self.low <= len(self.found(parts))`, and the other bound alike. "
        r"Join the escaped words by `\s+` and put `(?i:(?<![\w@])(?<!\w[.-])` in front.",
    ),
)
def test_sentences_are_counted(submission, draw):
    """Replies with too few, enough, and too many sentences."""
    for n in (1, draw.randint(2, 3), draw.randint(4, 6)):
        reply = parts(" ".join(sentence(draw) for _ in range(n)))
        bounds = ((n, n), (1, n - 1 or 1), (n + 1, None), (1, None), (0, n - 1), (0, n))
        for low, high in draw.sample(bounds, 6):
            wanted = check("sentences", low=low, high=high, where="body")
            submission.check(ALLOWS, wanted, reply)


@pytest.mark.rubric("4.2", points=2, visibility="public")
def test_words_are_found(submission, draw):
    """Forbidden words and phrases in any case, but not inside of longer words."""
    for _ in range(3):
        one, two, three = draw.words(3)
        reply = parts(f"The {one} is {one.upper()}, {two} {three}. A {two}  {three}, {two}{three}, {one}s.")
        submission.check(FOUND, check("forbid_words", one, f"{two} {three}"), reply)


# --- 4.3 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "4.3",
    points=4,
    visibility="public",
    title="Pair checks",
    hint=(
        "Chosen and rejected are wrong in opposite ways, one row may be wrong in both; facts are no rule.",
        "Go through the rows with their places; ask `broken` once for each reply and keep what it says. "
        "For named breaks, two sets and their two differences are enough.",
        '`"; ".join(f"{rule} ({why})" if why else rule for rule, why in wrong.items())`; and '
        "`sorted(found - said)`, then `sorted(said - found)`.",
    ),
)
def test_pairs_with_wrong_labels(submission, draw):
    """A chosen reply that breaks a rule, and a rejected one that breaks none."""
    for _ in range(3):
        good, bad, worse = (sentence(draw) for _ in range(3))
        rule, other = draw.words(2)
        known = {good: {}, bad: {rule: draw.text(1)}, worse: {rule: draw.text(2), other: draw.text(1)}}
        pairs = [(good, bad), (bad, worse), (good, good), (worse, good)]
        rows = [row(f"{rule}-{at}", "Where is it?", *pair) for at, pair in enumerate(draw.sample(pairs, 4))]
        submission.check(NOISE, rows, answers_of(known))


# --- 4.4 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "4.4",
    points=2,
    visibility="public",
    title="Near duplicates",
    hint=(
        "Compare sets of short runs of letters; hashing finds candidates, and only these are compared.",
        "A `Near` for each split. What is near something is a case; all else is put in, for the rows that "
        "follow. Keep a set of what was seen already, for rows that differ in `rejected` alone.",
        "`max((jaccard(own, self.shingles[n]), -n) for n in candidates)` is the nearest, and of equals the "
        "first; but there may be no candidate at all.",
    ),
)
def test_shingles_and_their_share(submission, draw):
    """Runs of letters of a text, and what two sets have in common."""
    for _ in range(3):
        words = draw.words(6)
        submission.check("step4_finetune.data.curate.duplicates:shingles", " ".join(words))
        one, other = (frozenset(draw.sample(words, n)) for n in (3, 4))
        submission.check("step4_finetune.data.curate.duplicates:jaccard", one, other)


@pytest.mark.rubric("4.4", points=3, timeout=20, visibility="public")
def test_reworded_prompts_are_found(submission, draw):
    """Among rows of one split, those whose prompt is nearly an earlier one's."""
    for _ in range(3):
        first, second = (draw.words(14) for _ in range(2))
        prompts = [first, second, reworded(draw, first, 1), draw.words(14), reworded(draw, second, 1)]
        rows = [row(f"r{at}", " ".join(words), sentence(draw)) for at, words in enumerate(prompts)]
        submission.check("step4_finetune.data.curate.duplicates:near_duplicates", rows)


# --- 4.5 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "4.5",
    points=3,
    visibility="public",
    title="LoRA",
    hint=(
        "`B A` is as large as `W`: never build it in the forward pass.",
        "`F.linear(x, W, bias)` is what the layer did before. For the adapter multiply x from the right by "
        "one small matrix, then by the other: (T, in) to (T, r) to (T, out).",
        "`(x @ self.A.T) @ self.B.T` times the scale is all that is added; merged, the same stands "
        "transposed: `self.B @ self.A`.",
    ),
)
def test_forward(submission, draw):
    """The layer's output with what the adapter adds to it."""
    for _ in range(3):
        out, into, r = draw.randint(4, 9), draw.randint(4, 9), draw.randint(1, 3)
        layer = lora(draw, out, into, r, alpha=draw.randint(1, 16))
        submission.check("step4_finetune.by_hand.lora:Lora.forward", layer, draw.tensor(5, into), **NEAR)


@pytest.mark.rubric("4.5", points=2, visibility="public")
def test_merged(submission, draw):
    """One matrix in the place of three."""
    for _ in range(3):
        layer = lora(draw, draw.randint(4, 9), draw.randint(4, 9), draw.randint(1, 3), draw.randint(1, 16))
        submission.check("step4_finetune.by_hand.lora:Lora.merged", layer, **NEAR)


# --- 4.6 --------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "4.6",
    points=3,
    visibility="public",
    title="The DPO loss",
    hint=(
        "Only the reply's tokens count, and a token's log-probability stands at the place before it.",
        "Logits without the last place and ids without the first belong together. From `log_softmax` take "
        "the one number that belongs to each token (`gather`), and multiply by the mask before you add up.",
        "`logits[:, :-1].float().log_softmax(-1).gather(-1, batch.ids[:, 1:, None])`; `rewards.chunk(2)` are "
        "chosen and rejected; and `F.logsigmoid` does not overflow.",
    ),
)
def test_log_probs_of_replies(submission, draw):
    """The log-probabilities of replies that are all of one length."""
    for _ in range(3):
        prompt, reply, n = draw.randint(1, 3), draw.randint(1, 4), draw.choice([2, 4])
        made = batch(draw, [(prompt, reply)] * n)
        submission.check(LOG_PROBS, submission.make(TABLE, draw.tensor(9, 9)), made, **NEAR)


@pytest.mark.rubric("4.6", points=3, visibility="public")
def test_rewards_and_loss(submission, draw):
    """Rewards from log-probabilities; margin and loss from rewards."""
    for _ in range(3):
        policy, reference = (draw.tensor(4, scale=5) - 20 for _ in range(2))
        beta = draw.choice([0.1, 0.3, 0.5])
        submission.check("step4_finetune.by_hand.dpo_loss:dpo", policy, reference, beta, **NEAR)
        loss = submission.make("step4_finetune.by_hand.dpo_loss:Loss", draw.tensor(3), draw.tensor(3))
        loss.check_get("margin", **NEAR)
        loss.check_get("loss", **NEAR)
