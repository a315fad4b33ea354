"""Changes of step 4's solutions, and the points that each costs: 0 for another right way."""

import re

import torch
import torch.nn.functional as F


def log_probs_by_cross_entropy(model, batch):
    logits = model(batch.ids, attention_mask=batch.attention)[0][:, :-1].float()
    each = F.cross_entropy(logits.flatten(0, 1), batch.ids[:, 1:].reshape(-1), reduction="none")
    return -(each.reshape(batch.ids[:, 1:].shape) * batch.completion[:, 1:]).sum(-1)


def labels_one_by_one(turns, last_only=False):
    labels = []
    later = [any(turn.role == "assistant" for turn in turns[place + 1 :]) for place in range(len(turns))]
    for turn, has_later in zip(turns, later, strict=True):
        learned = turn.role == "assistant" and not (last_only and has_later)
        labels.extend(-100 for _ in turn.header)
        labels.extend(token if learned else -100 for token in turn.content)
    return labels


def masked_loss_by_cross_entropy(logits, labels):
    if (labels[1:] == -100).all():
        return torch.tensor(0.0)
    return F.cross_entropy(logits[:-1].float(), labels[1:])


def advantages_by_var(rewards, group):
    result = []
    for part in rewards.split(group):
        result.append((part - part.mean()) / (part.var().sqrt() + 1e-4))
    return torch.cat(result)


def forward_by_halves(self, x):
    y = x @ self.W.T + torch.einsum("tr,or->to", x @ self.A.T, self.B).mul(self.alpha).div(self.A.shape[0])
    return y if self.bias is None else y + self.bias


def word_by_word(phrase):
    words = [
        re.escape(w[:-1]) + r"\w*" if len(w) > 1 and w[-1] == "*" else re.escape(w) for w in phrase.split()
    ]
    return r"(?<![\w@])(?<!\w\.)(?<!\w-)(?i:" + r"\s+".join(words) + r")(?!\w|@|\.\w|-\w)"


BOUNDED = r"(?<![\w@])(?<!\w[.-]){spaced}(?![\w@])(?![.-]\w)", r"\b{spaced}\b"
IN_PLACE = "self.W + self.B @ self.A * self.scale", "self.W.add_(self.B @ self.A * self.scale)"
ONE_CASE = 'f"chosen breaks {what}"))', 'f"chosen breaks {what}"))\n            continue'
SIGMOID = property(lambda self: -torch.log(torch.sigmoid(self.margin)))
CHANGES = {
    "a pattern word by word": (0, {"word_pattern": word_by_word}),
    "forward by halves": (0, {"forward": forward_by_halves}),
    "merged by torch": (0, {"merged": lambda self: torch.addmm(self.W, self.B * self.scale, self.A)}),
    "by cross-entropy": (0, {"log_probs": log_probs_by_cross_entropy}),
    "by softplus": (0, {"loss": property(lambda self: F.softplus(self.rejected - self.chosen))}),
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
    "labels one by one": (0, {"token_labels": labels_one_by_one}),
    "loss by cross-entropy": (0, {"masked_loss": masked_loss_by_cross_entropy}),
    "the header learned": (6, ("token_labels", "[IGNORED] * len(turn.header)", "turn.header")),
    "every reply learned": (2, ("token_labels", "replies[-1:]", "replies")),
    "the first reply only": (2, ("token_labels", "replies[-1:]", "replies[:1]")),
    "all turns learned": (6, ("token_labels", "if place in learned", "if True")),
    "labels not moved": (4, ("masked_loss", "expected = labels[1:]", "expected = labels[:-1]")),
    "a sum for the mean": (4, ("masked_loss", "chosen.mean()", "chosen.sum()")),
    "a mean over nothing": (2, ("masked_loss", "if not counts.any():", "if False:")),
    "advantage by torch": (0, {"advantages": advantages_by_var}),
    "one mean for all": (6, ("advantages", "view(-1, group)", "view(1, -1)")),
    "not divided": (10, ("advantages", "(centred / (spread + SMALL))", "centred")),
    "divided by nothing": (2, ("advantages", "spread + SMALL", "spread")),
    "drawn first": (
        0,
        ("mean_differences", "differences[drawn]", "(one.double()[drawn] - other.double()[drawn])"),
    ),
    "apart": (10, ("mean_differences", "differences[drawn]", "one[drawn] - other[drawn.flip(0)]")),
    "the other way round": (10, ("mean_differences", "one - other", "other - one")),
    "one-sided": (5, ("paired_interval", "(1 - level) / 2", "1 - level")),
    "always 95 %": (3, ("paired_interval", "(1 - level) / 2", "0.025")),
}
