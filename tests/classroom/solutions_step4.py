"""Solutions of step 4's exercises: right ones that are written in another way, and typical wrong ones.

OTHERWISE    [("4.5", {"step4_finetune.by_hand.lora:Lora.forward": forward_by_halves}), ...]
    WRONG        [("no star", (target, "old text", "new text"), "the tests that it loses"), ...]
"""

import re

import torch
import torch.nn.functional as F

from step4_finetune.by_hand.dpo_loss import Loss
from step4_finetune.data.curate import duplicates

TEXT, RULES, LABELS = (
    "step4_finetune.tone.text",
    "step4_finetune.tone.rules",
    "step4_finetune.data.curate.labels",
)
DOUBLES, LORA = "step4_finetune.data.curate.duplicates", "step4_finetune.by_hand.lora"
DPO = "step4_finetune.by_hand.dpo_loss"
TAKEN, ALLOWED, WORD = f"{TEXT}:take_apart", f"{RULES}:Check.allows", f"{RULES}:word_pattern"
NOISE, NAMED = f"{LABELS}:label_noise", f"{LABELS}:named_breaks"
SHINGLES, JACCARD = f"{DOUBLES}:shingles", f"{DOUBLES}:jaccard"
FIND, ROWS = f"{DOUBLES}:Near.find", f"{DOUBLES}:near_duplicates"
FORWARD, MERGED, SCALE = (f"{LORA}:Lora.{each}" for each in ("forward", "merged", "scale"))
LOGS, REWARDS, LOSS = f"{DPO}:log_probs", f"{DPO}:dpo", f"{DPO}:Loss.loss"
LOG_PROBS = "test_log_probs_of_replies test_log_probs_of_padded_rows test_log_probs_in_float32"
LOG_PROBS += " test_gradients_go_through_to_the_model"
REWARDED = "test_rewards_and_loss test_rewards_of_any_number_of_pairs test_gradients_of_the_loss"

# --- right in another way ---------------------------------------------------------------------------------


def find_in_all(self, said):
    """Without hashing: every text is compared."""
    own = duplicates.shingles(said)
    best = min(((-duplicates.jaccard(own, each), n) for n, each in self.shingles.items()), default=(0.0, 0))
    return (best[1], -best[0]) if self.shingles and -best[0] >= self.threshold else None


def log_probs_by_cross_entropy(model, batch):
    logits = model(batch.ids, attention_mask=batch.attention)[0][:, :-1].float()
    each = F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), batch.ids[:, 1:].reshape(-1), reduction="none"
    )
    return -(each.reshape(batch.ids[:, 1:].shape) * batch.completion[:, 1:]).sum(-1)


def dpo_by_halves(policy, reference, beta):
    n = len(policy) // 2
    return Loss(beta * policy[:n] - beta * reference[:n], beta * (policy[n:] - reference[n:]))


def forward_by_halves(self, x):
    y = x @ self.W.T + torch.einsum("tr,or->to", x @ self.A.T, self.B).mul(self.alpha).div(self.A.shape[0])
    return y if self.bias is None else y + self.bias


def word_by_word(phrase):
    words = [
        re.escape(w[:-1]) + r"\w*" if len(w) > 1 and w[-1] == "*" else re.escape(w) for w in phrase.split()
    ]
    return r"(?<![\w@])(?<!\w\.)(?<!\w-)(?i:" + r"\s+".join(words) + r")(?!\w|@|\.\w|-\w)"


OTHERWISE = [
    ("4.2", {f"{RULES}:word_pattern": lambda phrase: word_by_word(phrase)}),
    ("4.4", {f"{DOUBLES}:Near.find": find_in_all}),
    ("4.5", {f"{LORA}:Lora.forward": forward_by_halves}),
    ("4.5", {f"{LORA}:Lora.merged": lambda self: torch.addmm(self.W, self.B * self.scale, self.A)}),
    ("4.6", {f"{DPO}:log_probs": log_probs_by_cross_entropy}),
    ("4.6", {f"{DPO}:dpo": dpo_by_halves}),
    ("4.6", {f"{DPO}:Loss.loss": property(lambda self: F.softplus(self.rejected - self.chosen))}),
]


# --- wrong ------------------------------------------------------------------------------------------------


# What is wrong, a place in the reference's source with what stands there then (or a function), tests lost.
WRONG = [
    ("untidy", (TAKEN, "reply = tidy(reply)", "pass"), "test_parts_that_are_missing"),
    (
        "no greeting by its looks",
        (TAKEN, "found = SALUTATION.match(reply)", "found = None"),
        "test_what_looks_like_a_frame",
    ),
    (
        "no known greeting",
        (TAKEN, "if begins(reply, text)", "if False"),
        "test_a_reply_in_its_frame test_parts_that_are_missing test_known_texts_that_overlap",
    ),
    (
        "searched from the start",
        (TAKEN, "search(reply, start)", "search(reply)"),
        "test_known_texts_that_overlap",
    ),
    (
        "a sign-off over the greeting",
        (TAKEN, "end = max(start, end)", "pass"),
        "test_known_texts_that_overlap",
    ),
    (
        "a sign-off in the middle",
        (TAKEN, "if ends(reply, text)", "if text in reply"),
        "test_parts_that_are_missing test_known_texts_that_overlap",
    ),
    (
        "silence",
        (ALLOWED, "if self.low == 0 and parts.is_empty:", "if False:"),
        "test_silence_keeps_no_rule_that_only_forbids",
    ),
    ("any pattern", (ALLOWED, "return all(", "return any("), "test_all_that_is_required"),
    ("no line by line", (ALLOWED, ", re.MULTILINE)", ")"), "test_all_that_is_required"),
    (
        "fewer than the most",
        (ALLOWED, "len(found) <= self.high", "len(found) < self.high"),
        "test_sentences_are_counted test_silence_keeps_no_rule_that_only_forbids test_how_many_there_may_be",
    ),
    (
        "words by \\b",
        (WORD, r"(?<![\w@])(?<!\w[.-]){spaced}(?![\w@])(?![.-]\w)", r"\b{spaced}\b"),
        "test_parts_of_words_are_no_words test_stars_dots_and_spaces",
    ),
    (
        "one space",
        (WORD, r'r"\s+".join(', '" ".join('),
        "test_words_are_found test_stars_dots_and_spaces",
    ),
    ("not escaped", (WORD, "else re.escape(each)", "else each"), "test_stars_dots_and_spaces"),
    ("no star", (WORD, 'if each[1:].endswith("*")', "if False"), "test_stars_dots_and_spaces"),
    ("blank replies", (NOISE, "if not row.chosen.strip():", "if False:"), "test_label_noise_of_every_kind"),
    (
        "one case a row",
        (NOISE, 'f"chosen breaks {what}"))', 'f"chosen breaks {what}"))\n            continue'),
        "test_pairs_with_wrong_labels test_label_noise_of_every_kind",
    ),
    ("facts as no reason to reject", (NOISE, "not other and ", ""), "test_label_noise_of_every_kind"),
    ("facts as a rule of the guide", (NAMED, " - {FACTS}", ""), "test_breaks_that_are_named_wrongly"),
    ("one side of the breaks", (NAMED, "parts += [", "_ = ["), "test_breaks_that_are_named_wrongly"),
    (
        "no short shingles",
        (SHINGLES, "range(max(1, len(plain) - LETTERS + 1))", "range(len(plain) - LETTERS + 1)"),
        "test_shingles_of_short_and_odd_texts",
    ),
    (
        "by the smaller",
        (JACCARD, "len(one | other)", "min(len(one), len(other))"),
        "test_shingles_and_their_share test_reworded_prompts_are_found test_the_nearest_is_found "
        "test_rows_of_several_splits test_rows_that_are_passed_over",
    ),
    (
        "the last of equals",
        (FIND, "max(found, ", "max(found, key=lambda each: (each[0], -each[1]), "),
        "test_the_nearest_is_found",
    ),
    ("above the threshold", (FIND, "near >= self", "near > self"), "test_the_nearest_is_found"),
    (
        "across splits",
        (ROWS, "places(rows, split)", "range(len(rows) if split == SPLITS[0] else 0)"),
        "test_rows_of_several_splits test_rows_that_are_passed_over",
    ),
    (
        "cases remembered",
        (ROWS, "            else:\n                near.add", "            near.add"),
        "test_rows_of_several_splits",
    ),
    (
        "no pair passed over",
        (ROWS, "if key in seen or not key[0]:", "if not key[0]:"),
        "test_rows_that_are_passed_over",
    ),
    (
        "by the prompt alone",
        (ROWS, "(folded(text), rows[at].chosen)", "(folded(text),)"),
        "test_rows_of_several_splits test_rows_that_are_passed_over",
    ),
    (
        "not by the rank",
        {SCALE: property(lambda self: float(self.alpha))},
        "test_forward test_merged test_forward_of_any_shape test_merged_leaves_the_layer_as_it_was "
        "test_the_adapter_gets_gradients test_the_product_is_never_built",
    ),
    (
        "merged first",
        (FORWARD, "(x @ self.A.T) @ self.B.T", "x @ (self.B @ self.A).T"),
        "test_the_product_is_never_built",
    ),
    (
        "no bias",
        (FORWARD, "self.bias)", "None)"),
        "test_forward_of_any_shape test_merged_leaves_the_layer_as_it_was",
    ),
    (
        "no gradients",
        (FORWARD, "(x @ self.A.T)", "(x @ self.A.T.detach())"),
        "test_the_adapter_gets_gradients",
    ),
    (
        "merged in place",
        (MERGED, "self.W + self.B @ self.A * self.scale", "self.W.add_(self.B @ self.A * self.scale)"),
        "test_merged_leaves_the_layer_as_it_was",
    ),
    ("logits of the token itself", (LOGS, "logits[:, :-1]", "logits[:, 1:]"), LOG_PROBS),
    ("the mask not moved", (LOGS, "completion[:, 1:]", "completion[:, :-1]"), LOG_PROBS),
    ("the prompt, too", (LOGS, "batch.completion", "batch.attention"), LOG_PROBS),
    ("in bfloat16", (LOGS, "[:, :-1].float()", "[:, :-1]"), "test_log_probs_in_float32"),
    (
        "no gradient",
        (LOGS, "[:, :-1].float()", "[:, :-1].detach().float()"),
        "test_gradients_go_through_to_the_model",
    ),
    ("pairs one after another", (REWARDS, "rewards.chunk(2)", "rewards[::2], rewards[1::2]"), REWARDED),
    ("rejected first", (REWARDS, "Loss(chosen, rejected)", "Loss(rejected, chosen)"), REWARDED),
    (
        "a logarithm of nothing",
        {LOSS: property(lambda self: -torch.log(torch.sigmoid(self.margin)))},
        "test_loss_of_large_margins",
    ),
    (
        "the sign",
        {LOSS: property(lambda self: F.logsigmoid(self.margin))},
        "test_rewards_and_loss test_loss_of_large_margins test_gradients_of_the_loss",
    ),
]
