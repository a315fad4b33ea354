"""Changes of step 4's solutions, and the points that each costs: 0 for another right way."""

import re

import torch
import torch.nn.functional as F

from step4_finetune.data.curate import duplicates

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


BOUNDED = r"(?<![\w@])(?<!\w[.-]){spaced}(?![\w@])(?![.-]\w)", r"\b{spaced}\b"
LAST_OF_EQUALS = "max(found, ", "max(found, key=lambda each: (each[0], -each[1]), "
SHORT = "range(max(1, len(plain) - LETTERS + 1))", "range(len(plain) - LETTERS + 1)"
IN_PLACE = "self.W + self.B @ self.A * self.scale", "self.W.add_(self.B @ self.A * self.scale)"
ACROSS = "places(rows, split)", "range(len(rows) if split == SPLITS[0] else 0)"
ONE_CASE = 'f"chosen breaks {what}"))', 'f"chosen breaks {what}"))\n            continue'
REMEMBERED = "            else:\n                near.add", "            near.add"
SIGMOID = property(lambda self: -torch.log(torch.sigmoid(self.margin)))
CHANGES = {
    "a pattern word by word": (0, {WORD: word_by_word}),
    "every text compared": (0, {FIND: find_in_all}),
    "forward by halves": (0, {FORWARD: forward_by_halves}),
    "merged by torch": (0, {MERGED: lambda self: torch.addmm(self.W, self.B * self.scale, self.A)}),
    "by cross-entropy": (0, {LOGS: log_probs_by_cross_entropy}),
    "by softplus": (0, {LOSS: property(lambda self: F.softplus(self.rejected - self.chosen))}),
    "untidy": (2, (TAKEN, "reply = tidy(reply)", "pass")),
    "no greeting by its looks": (3, (TAKEN, "found = SALUTATION.match(reply)", "found = None")),
    "no known greeting": (7, (TAKEN, "if begins(reply, text)", "if False")),
    "searched from the start": (2, (TAKEN, "search(reply, start)", "search(reply)")),
    "a sign-off in the middle": (4, (TAKEN, "if ends(reply, text)", "if text in reply")),
    "silence": (2, (ALLOWED, "if self.low == 0 and parts.is_empty:", "if False:")),
    "any pattern": (2, (ALLOWED, "return all(", "return any(")),
    "no line by line": (2, (ALLOWED, ", re.MULTILINE)", ")")),
    "fewer than the most": (7, (ALLOWED, "len(found) <= self.high", "len(found) < self.high")),
    "words by \\b": (4, (WORD, *BOUNDED)),
    "one space": (4, (WORD, r'r"\s+".join(', '" ".join(')),
    "not escaped": (2, (WORD, "else re.escape(each)", "else each")),
    "blank replies": (6, (NOISE, "if not row.chosen.strip():", "if False:")),
    "one case a row": (10, (NOISE, *ONE_CASE)),
    "facts as no reason to reject": (6, (NOISE, "not other and ", "")),
    "facts as a rule of the guide": (5, (NAMED, " - {FACTS}", "")),
    "no short shingles": (4, (SHINGLES, *SHORT)),
    "by the smaller": (16, (JACCARD, "len(one | other)", "min(len(one), len(other))")),
    "the last of equals": (4, (FIND, *LAST_OF_EQUALS)),
    "across splits": (7, (ROWS, *ACROSS)),
    "cases remembered": (4, (ROWS, *REMEMBERED)),
    "no pair passed over": (3, (ROWS, "if key in seen or not key[0]:", "if not key[0]:")),
    "by the prompt alone": (7, (ROWS, "(folded(text), rows[at].chosen)", "(folded(text),)")),
    "not by the rank": (20, {SCALE: property(lambda self: float(self.alpha))}),
    "merged first": (3, (FORWARD, "(x @ self.A.T) @ self.B.T", "x @ (self.B @ self.A).T")),
    "no bias": (10, (FORWARD, "self.bias)", "None)")),
    "no gradients": (2, (FORWARD, "(x @ self.A.T)", "(x @ self.A.T.detach())")),
    "merged in place": (5, (MERGED, *IN_PLACE)),
    "logits of the token itself": (11, (LOGS, "logits[:, :-1]", "logits[:, 1:]")),
    "the mask not moved": (11, (LOGS, "completion[:, 1:]", "completion[:, :-1]")),
    "in bfloat16": (2, (LOGS, "[:, :-1].float()", "[:, :-1]")),
    "no gradient": (2, (LOGS, "[:, :-1].float()", "[:, :-1].detach().float()")),
    "pairs one after another": (7, (DPO, "rewards.chunk(2)", "rewards[::2], rewards[1::2]")),
    "a logarithm of nothing": (2, {LOSS: SIGMOID}),
    "the sign": (7, {LOSS: property(lambda self: F.logsigmoid(self.margin))}),
}
