"""The rubric of step 4: other right ways get all points, and a mistake costs what it should."""

import re

import pytest
import torch
import torch.nn.functional as F

from step4_finetune.data.curate import duplicates
from tests.classroom.rubric_helpers import lost

TAKEN, ALLOWED = "step4_finetune.tone.text:take_apart", "step4_finetune.tone.rules:Check.allows"
WORD = "step4_finetune.tone.rules:word_pattern"
NOISE, NAMED = (f"step4_finetune.data.curate.labels:{each}" for each in ("label_noise", "named_breaks"))
SHINGLES, JACCARD, FIND, ROWS = (
    f"step4_finetune.data.curate.duplicates:{each}"
    for each in ("shingles", "jaccard", "Near.find", "near_duplicates")
)
FORWARD, MERGED, SCALE = (
    f"step4_finetune.by_hand.lora:Lora.{each}" for each in ("forward", "merged", "scale")
)
LOGS, DPO, LOSS = (f"step4_finetune.by_hand.dpo_loss:{each}" for each in ("log_probs", "dpo", "Loss.loss"))

# --- right in another way ---------------------------------------------------------------------------------


def find_in_all(self, said):
    """Without hashing: every text is compared."""
    own = duplicates.shingles(said)
    best = min(((-duplicates.jaccard(own, each), n) for n, each in self.shingles.items()), default=(0.0, 0))
    return (best[1], -best[0]) if self.shingles and -best[0] >= self.threshold else None


def log_probs_by_cross_entropy(model, batch):
    logits = model(batch.ids, attention_mask=batch.attention)[0][:, :-1].float()
    each = F.cross_entropy(logits.flatten(0, 1), batch.ids[:, 1:].reshape(-1), reduction="none")
    return -(each.reshape(batch.ids[:, 1:].shape) * batch.completion[:, 1:]).sum(-1)


def forward_by_halves(self, x):
    y = x @ self.W.T + torch.einsum("tr,or->to", x @ self.A.T, self.B).mul(self.alpha).div(self.A.shape[0])
    return y if self.bias is None else y + self.bias


def word_by_word(phrase):
    words = [
        re.escape(w[:-1]) + r"\w*" if len(w) > 1 and w[-1] == "*" else re.escape(w) for w in phrase.split()
    ]
    return r"(?<![\w@])(?<!\w\.)(?<!\w-)(?i:" + r"\s+".join(words) + r")(?!\w|@|\.\w|-\w)"


RIGHT = [
    {WORD: word_by_word},
    {FIND: find_in_all},
    {FORWARD: forward_by_halves},
    {MERGED: lambda self: torch.addmm(self.W, self.B * self.scale, self.A)},
    {LOGS: log_probs_by_cross_entropy},
    {LOSS: property(lambda self: F.softplus(self.rejected - self.chosen))},
]


@pytest.mark.parametrize("right", RIGHT)
def test_another_right_way_costs_nothing(right):
    assert lost("step4", right) == 0


# --- wrong: what stands there instead, and the points that it costs ----------------------------------------

BOUNDED = r"(?<![\w@])(?<!\w[.-]){spaced}(?![\w@])(?![.-]\w)", r"\b{spaced}\b"
LAST_OF_EQUALS = "max(found, ", "max(found, key=lambda each: (each[0], -each[1]), "
SHORT = "range(max(1, len(plain) - LETTERS + 1))", "range(len(plain) - LETTERS + 1)"
IN_PLACE = "self.W + self.B @ self.A * self.scale", "self.W.add_(self.B @ self.A * self.scale)"
ACROSS = "places(rows, split)", "range(len(rows) if split == SPLITS[0] else 0)"
ONE_CASE = 'f"chosen breaks {what}"))', 'f"chosen breaks {what}"))\n            continue'
REMEMBERED = "            else:\n                near.add", "            near.add"
SIGMOID = property(lambda self: -torch.log(torch.sigmoid(self.margin)))
MISTAKES = {
    "untidy": ((TAKEN, "reply = tidy(reply)", "pass"), 2),
    "no greeting by its looks": ((TAKEN, "found = SALUTATION.match(reply)", "found = None"), 3),
    "no known greeting": ((TAKEN, "if begins(reply, text)", "if False"), 7),
    "searched from the start": ((TAKEN, "search(reply, start)", "search(reply)"), 2),
    "a sign-off in the middle": ((TAKEN, "if ends(reply, text)", "if text in reply"), 4),
    "silence": ((ALLOWED, "if self.low == 0 and parts.is_empty:", "if False:"), 2),
    "any pattern": ((ALLOWED, "return all(", "return any("), 2),
    "no line by line": ((ALLOWED, ", re.MULTILINE)", ")"), 2),
    "fewer than the most": ((ALLOWED, "len(found) <= self.high", "len(found) < self.high"), 7),
    "words by \\b": ((WORD, *BOUNDED), 4),
    "one space": ((WORD, r'r"\s+".join(', '" ".join('), 4),
    "not escaped": ((WORD, "else re.escape(each)", "else each"), 2),
    "blank replies": ((NOISE, "if not row.chosen.strip():", "if False:"), 6),
    "one case a row": ((NOISE, *ONE_CASE), 10),
    "facts as no reason to reject": ((NOISE, "not other and ", ""), 6),
    "facts as a rule of the guide": ((NAMED, " - {FACTS}", ""), 5),
    "no short shingles": ((SHINGLES, *SHORT), 4),
    "by the smaller": ((JACCARD, "len(one | other)", "min(len(one), len(other))"), 16),
    "the last of equals": ((FIND, *LAST_OF_EQUALS), 4),
    "across splits": ((ROWS, *ACROSS), 7),
    "cases remembered": ((ROWS, *REMEMBERED), 4),
    "no pair passed over": ((ROWS, "if key in seen or not key[0]:", "if not key[0]:"), 3),
    "by the prompt alone": ((ROWS, "(folded(text), rows[at].chosen)", "(folded(text),)"), 7),
    "not by the rank": ({SCALE: property(lambda self: float(self.alpha))}, 20),
    "merged first": ((FORWARD, "(x @ self.A.T) @ self.B.T", "x @ (self.B @ self.A).T"), 3),
    "no bias": ((FORWARD, "self.bias)", "None)"), 10),
    "no gradients": ((FORWARD, "(x @ self.A.T)", "(x @ self.A.T.detach())"), 2),
    "merged in place": ((MERGED, *IN_PLACE), 5),
    "logits of the token itself": ((LOGS, "logits[:, :-1]", "logits[:, 1:]"), 11),
    "the mask not moved": ((LOGS, "completion[:, 1:]", "completion[:, :-1]"), 11),
    "in bfloat16": ((LOGS, "[:, :-1].float()", "[:, :-1]"), 2),
    "no gradient": ((LOGS, "[:, :-1].float()", "[:, :-1].detach().float()"), 2),
    "pairs one after another": ((DPO, "rewards.chunk(2)", "rewards[::2], rewards[1::2]"), 7),
    "a logarithm of nothing": ({LOSS: SIGMOID}, 2),
    "the sign": ({LOSS: property(lambda self: F.logsigmoid(self.margin))}, 7),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_costs_its_points(mistake):
    change, less = MISTAKES[mistake]
    assert lost("step4", change) == less
