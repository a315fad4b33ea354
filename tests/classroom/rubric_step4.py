"""Changes of step 4's solutions, and the points that each costs: 0 for another right way."""

import re

import torch
import torch.nn.functional as F

from step4_finetune.data.curate import duplicates


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
    "a pattern word by word": (0, {"word_pattern": word_by_word}),
    "every text compared": (0, {"find": find_in_all}),
    "forward by halves": (0, {"forward": forward_by_halves}),
    "merged by torch": (0, {"merged": lambda self: torch.addmm(self.W, self.B * self.scale, self.A)}),
    "by cross-entropy": (0, {"log_probs": log_probs_by_cross_entropy}),
    "by softplus": (0, {"loss": property(lambda self: F.softplus(self.rejected - self.chosen))}),
    "untidy": (2, ("take_apart", "reply = tidy(reply)", "pass")),
    "no greeting by its looks": (3, ("take_apart", "found = SALUTATION.match(reply)", "found = None")),
    "no known greeting": (7, ("take_apart", "if begins(reply, text)", "if False")),
    "searched from the start": (2, ("take_apart", "search(reply, start)", "search(reply)")),
    "a sign-off in the middle": (4, ("take_apart", "if ends(reply, text)", "if text in reply")),
    "silence": (2, ("allows", "if self.low == 0 and parts.is_empty:", "if False:")),
    "any pattern": (2, ("allows", "return all(", "return any(")),
    "no line by line": (2, ("allows", ", re.MULTILINE)", ")")),
    "fewer than the most": (7, ("allows", "len(found) <= self.high", "len(found) < self.high")),
    "words by \\b": (4, ("word_pattern", *BOUNDED)),
    "one space": (4, ("word_pattern", r'r"\s+".join(', '" ".join(')),
    "not escaped": (2, ("word_pattern", "else re.escape(each)", "else each")),
    "blank replies": (6, ("label_noise", "if not row.chosen.strip():", "if False:")),
    "one case a row": (10, ("label_noise", *ONE_CASE)),
    "facts as no reason to reject": (6, ("label_noise", "not other and ", "")),
    "facts as a rule of the guide": (5, ("named_breaks", " - {FACTS}", "")),
    "no short shingles": (4, ("shingles", *SHORT)),
    "by the smaller": (16, ("jaccard", "len(one | other)", "min(len(one), len(other))")),
    "the last of equals": (4, ("find", *LAST_OF_EQUALS)),
    "across splits": (7, ("near_duplicates", *ACROSS)),
    "cases remembered": (4, ("near_duplicates", *REMEMBERED)),
    "no pair passed over": (3, ("near_duplicates", "if key in seen or not key[0]:", "if not key[0]:")),
    "by the prompt alone": (7, ("near_duplicates", "(folded(text), rows[at].chosen)", "(folded(text),)")),
    "not by the rank": (20, {"scale": property(lambda self: float(self.alpha))}),
    "merged first": (3, ("forward", "(x @ self.A.T) @ self.B.T", "x @ (self.B @ self.A).T")),
    "no bias": (10, ("forward", "self.bias)", "None)")),
    "no gradients": (2, ("forward", "(x @ self.A.T)", "(x @ self.A.T.detach())")),
    "merged in place": (5, ("merged", *IN_PLACE)),
    "logits of the token itself": (11, ("log_probs", "logits[:, :-1]", "logits[:, 1:]")),
    "the mask not moved": (11, ("log_probs", "completion[:, 1:]", "completion[:, :-1]")),
    "in bfloat16": (2, ("log_probs", "[:, :-1].float()", "[:, :-1]")),
    "no gradient": (2, ("log_probs", "[:, :-1].float()", "[:, :-1].detach().float()")),
    "pairs one after another": (7, ("dpo", "rewards.chunk(2)", "rewards[::2], rewards[1::2]")),
    "a logarithm of nothing": (2, {"loss": SIGMOID}),
    "the sign": (7, {"loss": property(lambda self: F.logsigmoid(self.margin))}),
}
