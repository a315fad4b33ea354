"""Solutions of step 4's exercises: right ones that are written in another way, and typical wrong ones.

    OTHERWISE    [("4.5", {"step4_finetune.by_hand.lora:Lora.forward": forward_by_halves}), ...]
    WRONG        [("merged in place", {"step4_finetune.by_hand.lora:Lora.merged": ...}, "test_..."), ...]

A wrong one is named for what is wrong about it, and stands with the tests that it loses.
"""

import re

import torch
import torch.nn.functional as F

from step4_finetune.by_hand.dpo_loss import Loss
from step4_finetune.data.curate import duplicates, labels
from step4_finetune.data.curate.finding import Case, places, prompt_text
from step4_finetune.tone import rules, text

TEXT, RULES, LABELS = (
    "step4_finetune.tone.text",
    "step4_finetune.tone.rules",
    "step4_finetune.data.curate.labels",
)
DOUBLES, LORA = "step4_finetune.data.curate.duplicates", "step4_finetune.by_hand.lora"
DPO = "step4_finetune.by_hand.dpo_loss"
TAKEN, ALLOWED, WORD = f"{TEXT}:take_apart", f"{RULES}:Check.allows", f"{RULES}:word_pattern"
NOISE, NAMED = f"{LABELS}:label_noise", f"{LABELS}:named_breaks"
FIND, ROWS = f"{DOUBLES}:Near.find", f"{DOUBLES}:near_duplicates"
FORWARD, MERGED, SCALE = (f"{LORA}:Lora.{each}" for each in ("forward", "merged", "scale"))
LOGS, REWARDS, LOSS = f"{DPO}:log_probs", f"{DPO}:dpo", f"{DPO}:Loss.loss"
RIGHT = rules.word_pattern
SHORT = duplicates.LETTERS

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


def take_apart(
    reply, greetings=(), sign_offs=(), *, tidy=text.tidy, known=True, looks=True, start_at=None, overlap=False
):
    """As the reference, but for one thing."""
    reply = tidy(reply)
    start = next((len(each) for each in greetings if known and text.begins(reply, each)), None)
    if start is None:
        found = text.SALUTATION.match(reply) if looks else None
        start = found.end() if found else 0
    end = next((len(reply) - len(each) for each in sign_offs if known and text.ends(reply, each)), None)
    if end is None:
        closing = text.SIGNATURE.search(reply, start if start_at is None else start_at) if looks else None
        end = closing.start() if closing else len(reply)
    end = end if overlap else max(start, end)
    body = reply[start:end].strip()
    return text.Parts(reply, reply[:start].strip(), body, reply[end:].strip(), tuple(text.sentences(body)))


def but(**changes):
    return lambda *args, **named: take_apart(*args, **named, **changes)


def longest(reply, greetings=(), sign_offs=()):
    """Of the known texts the longest, not the first."""
    return take_apart(reply, sorted(greetings, key=len)[::-1], sorted(sign_offs, key=len)[::-1])


def anywhere(reply, greetings=(), sign_offs=()):
    """A sign-off that stands in the middle counts, too."""
    found = take_apart(reply, greetings, sign_offs)
    for each in sign_offs:
        if not found.sign_off and each in found.body:
            at = found.body.rindex(each)
            body = found.body[:at].strip()
            return text.Parts(found.reply, found.greeting, body, found.body[at:], tuple(text.sentences(body)))
    return found


def allows(self, parts, *, silence=True, every=all, flags=re.MULTILINE, edge=0):
    """As the reference, but for one thing."""
    if silence and self.low == 0 and parts.is_empty:
        return False
    if self.kind == "require":
        return every(re.search(each, self._place(parts), flags) for each in self.patterns)
    n = len(self.found(parts))
    return self.low <= n and (self.high is None or n + edge <= self.high)


def except_(**changes):
    return lambda self, parts: allows(self, parts, **changes)


def label_noise(
    rows, broken, *, blank=False, either=False, missing=False, sort=False, brackets=False, facts=True
):
    """As the reference, but for one thing."""
    cases = []
    for at, row in enumerate(rows):
        if not blank and not row.chosen.strip():
            continue
        wrong = broken(row.chosen)
        if wrong:
            named = sorted(wrong.items()) if sort else wrong.items()
            what = "; ".join(f"{rule} ({why})" if why or brackets else rule for rule, why in named)
            cases.append(Case(at, row.id, f"chosen breaks {what}"))
        if either and wrong:
            continue
        if facts and "facts" in (row.breaks or ()):
            continue
        if (row.rejected is not None or missing) and not broken(row.rejected or ""):
            cases.append(Case(at, row.id, "rejected breaks no rule"))
    return labels.of_cases(
        "label noise",
        cases,
        len(rows),
        labels.ERROR,
        "reword the reply, or leave the row out: it teaches the opposite",
    )


def named_breaks(rows, broken, *, kept=True, reverse=False, facts=True):
    """As the reference, but for one thing."""
    labelled = [at for at, row in enumerate(rows) if row.breaks is not None and row.rejected is not None]
    if not labelled:
        return labels.unchecked("named breaks", "rows", "no breaks named")
    cases = []
    for at in labelled:
        said, found = set(rows[at].breaks) - ({"facts"} if facts else set()), set(broken(rows[at].rejected))
        parts = [f"breaks {rule}, not named" for rule in sorted(found - said, reverse=reverse)]
        if kept:
            parts += [f"names {rule}, which it keeps" for rule in sorted(said - found, reverse=reverse)]
        if parts:
            cases.append(Case(at, rows[at].id, "rejected " + "; ".join(parts)))
    return labels.of_cases("named breaks", cases, len(labelled), labels.WARNING, "correct the column breaks")


def near_duplicates(
    rows, threshold=duplicates.NEAR, *, splits=True, remember=False, key=3, blank=False, reply=True
):
    """As the reference, but for one thing."""
    cases = []
    for group in duplicates.SPLITS if splits else [None]:
        near, seen = duplicates.Near(threshold), set()
        for at in places(rows, group) if splits else range(len(rows)):
            said = prompt_text(rows[at])
            known = (
                duplicates.folded(said),
                rows[at].chosen if reply else "",
                rows[at].rejected if key == 4 else "",
            )
            if (key and known in seen) or (not blank and not known[0]):
                continue
            seen.add(known)
            found = near.find(said)
            if found:
                cases.append(duplicates._case(rows, at, *found))
            if remember or not found:
                near.add(at, said)
    return duplicates.of_cases(
        "near-duplicates",
        cases,
        len(rows),
        duplicates.WARNING,
        "keep one of them, or word them differently: they add little and weigh double",
    )


def without(**changes):
    return lambda rows, threshold=duplicates.NEAR: near_duplicates(rows, threshold, **changes)


def find_another(worst=False, last=False, strict=False):
    def find(self, said):
        own = duplicates.shingles(said)
        found = [
            (duplicates.jaccard(own, self.shingles[n]) * (-1 if worst else 1), n if last else -n)
            for n in self.lsh.query(self._sketch(own))
        ]
        near, number = max(found, default=(0.0, 0))
        enough = abs(near) > self.threshold if strict else abs(near) >= self.threshold
        return (abs(number), abs(near)) if enough else None

    return find


def merged_in_place(self):
    self.W += self.B @ self.A * self.scale
    return self.W


@torch.no_grad()
def forward_without_gradients(self, x):
    return F.linear(x, self.W, self.bias) + (x @ self.A.T) @ self.B.T * self.scale


def log_probs(model, batch, *, shift=1, mask=1, mean=False, wide=True, whole=False, grad=True):
    """As the reference, but for one thing."""
    with torch.set_grad_enabled(grad):
        logits = model(input_ids=batch.ids, attention_mask=batch.attention).logits
        logits = logits[:, :-1] if shift else logits[:, 1:]
        each = (logits.float() if wide else logits).log_softmax(-1)
        each = each.gather(-1, batch.ids[:, 1:, None])[..., 0].float()
        kept = batch.attention if whole else batch.completion
        kept = kept[:, 1:] if mask else kept[:, :-1]
        found = (each * kept).sum(dim=1)
        return found / kept.sum(dim=1).clamp(min=1) if mean else found


def with_(**changes):
    return lambda model, batch: log_probs(model, batch, **changes)


def alternating(policy, reference, beta):
    rewards = beta * (policy - reference)
    return Loss(rewards[::2], rewards[1::2])


def the_other_way(policy, reference, beta):
    chosen, rejected = (beta * (policy - reference)).chunk(2)
    return Loss(rejected, chosen)


WRONG = [  # what stands where, and the tests that it loses
    ("untidy", {TAKEN: but(tidy=lambda reply: reply)}, "test_parts_that_are_missing"),
    (
        "known texts alone",
        {TAKEN: but(looks=False)},
        "test_what_looks_like_a_frame",
    ),
    (
        "looks alone",
        {TAKEN: but(known=False)},
        "test_a_reply_in_its_frame test_parts_that_are_missing test_known_texts_that_overlap",
    ),
    ("searched from the start", {TAKEN: but(start_at=0)}, "test_known_texts_that_overlap"),
    ("a sign-off over the greeting", {TAKEN: but(overlap=True)}, "test_known_texts_that_overlap"),
    ("the longest known", {TAKEN: longest}, "test_known_texts_that_overlap"),
    (
        "a sign-off in the middle",
        {TAKEN: anywhere},
        "test_parts_that_are_missing test_known_texts_that_overlap",
    ),
    ("silence", {ALLOWED: except_(silence=False)}, "test_silence_keeps_no_rule_that_only_forbids"),
    ("any pattern", {ALLOWED: except_(every=any)}, "test_all_that_is_required"),
    ("no line by line", {ALLOWED: except_(flags=0)}, "test_all_that_is_required"),
    (
        "fewer than the most",
        {ALLOWED: except_(edge=1)},
        "test_sentences_are_counted test_silence_keeps_no_rule_that_only_forbids test_how_many_there_may_be",
    ),
    (
        "words by \\b",
        {WORD: lambda phrase: rf"(?i:\b{re.escape(phrase)}\b)"},
        "test_words_are_found test_parts_of_words_are_no_words test_stars_dots_and_spaces",
    ),
    (
        "not escaped",
        {WORD: lambda phrase: RIGHT(phrase).replace("\\.", ".").replace("\\+", "+")},
        "test_stars_dots_and_spaces",
    ),
    (
        "no star",
        {WORD: lambda phrase: RIGHT(phrase).replace("\\w*", "\\*")},
        "test_stars_dots_and_spaces",
    ),
    (
        "blank replies",
        {NOISE: lambda *rows: label_noise(*rows, blank=True)},
        "test_label_noise_of_every_kind",
    ),
    (
        "one case a row",
        {NOISE: lambda *rows: label_noise(*rows, either=True)},
        "test_pairs_with_wrong_labels test_label_noise_of_every_kind",
    ),
    (
        "no rejected one",
        {NOISE: lambda *rows: label_noise(*rows, missing=True)},
        "test_label_noise_of_every_kind",
    ),
    (
        "empty brackets",
        {NOISE: lambda *rows: label_noise(*rows, brackets=True)},
        "test_label_noise_of_every_kind",
    ),
    (
        "facts as no reason to reject",
        {NOISE: lambda *rows: label_noise(*rows, facts=False)},
        "test_label_noise_of_every_kind",
    ),
    (
        "facts as a rule of the guide",
        {NAMED: lambda *rows: named_breaks(*rows, facts=False)},
        "test_breaks_that_are_named_wrongly",
    ),
    (
        "one side of the breaks",
        {NAMED: lambda *rows: named_breaks(*rows, kept=False)},
        "test_breaks_that_are_named_wrongly",
    ),
    (
        "breaks from z to a",
        {NAMED: lambda *rows: named_breaks(*rows, reverse=True)},
        "test_breaks_that_are_named_wrongly",
    ),
    (
        "no short shingles",
        {
            f"{DOUBLES}:shingles": lambda said: frozenset(
                duplicates.folded(said)[at : at + SHORT]
                for at in range(len(duplicates.folded(said)) - SHORT + 1)
            )
        },
        "test_shingles_of_short_and_odd_texts",
    ),
    (
        "by the smaller",
        {f"{DOUBLES}:jaccard": lambda one, other: len(one & other) / min(len(one), len(other))},
        "test_shingles_and_their_share test_reworded_prompts_are_found test_the_nearest_is_found "
        "test_rows_of_several_splits test_rows_that_are_passed_over",
    ),
    (
        "the least near",
        {FIND: find_another(worst=True)},
        "test_the_nearest_is_found test_rows_of_several_splits",
    ),
    ("the last of equals", {FIND: find_another(last=True)}, "test_the_nearest_is_found"),
    ("above the threshold", {FIND: find_another(strict=True)}, "test_the_nearest_is_found"),
    (
        "across splits",
        {ROWS: without(splits=False)},
        "test_rows_of_several_splits test_rows_that_are_passed_over",
    ),
    ("cases remembered", {ROWS: without(remember=True)}, "test_rows_of_several_splits"),
    ("no pair passed over", {ROWS: without(key=0)}, "test_rows_that_are_passed_over"),
    ("by rejected, too", {ROWS: without(key=4)}, "test_rows_that_are_passed_over"),
    (
        "by the prompt alone",
        {ROWS: without(reply=False)},
        "test_rows_of_several_splits test_rows_that_are_passed_over",
    ),
    ("prompts without words", {ROWS: without(blank=True)}, "test_rows_that_are_passed_over"),
    (
        "not by the rank",
        {SCALE: property(lambda self: float(self.alpha))},
        "test_forward test_merged test_forward_of_any_shape test_merged_leaves_the_layer_as_it_was "
        "test_the_adapter_gets_gradients test_the_product_is_never_built",
    ),
    (
        "merged first",
        {FORWARD: lambda self, x: F.linear(x, self.W + self.B @ self.A * self.scale, self.bias)},
        "test_the_product_is_never_built",
    ),
    (
        "no bias",
        {FORWARD: lambda self, x: F.linear(x, self.W) + (x @ self.A.T) @ self.B.T * self.scale},
        "test_forward_of_any_shape test_merged_leaves_the_layer_as_it_was",
    ),
    ("no gradients", {FORWARD: forward_without_gradients}, "test_the_adapter_gets_gradients"),
    ("merged in place", {MERGED: merged_in_place}, "test_merged_leaves_the_layer_as_it_was"),
    (
        "logits of the token itself",
        {LOGS: with_(shift=0)},
        "test_log_probs_of_replies test_log_probs_of_padded_rows test_log_probs_in_float32 "
        "test_gradients_go_through_to_the_model",
    ),
    (
        "the mask not moved",
        {LOGS: with_(mask=0)},
        "test_log_probs_of_replies test_log_probs_of_padded_rows test_log_probs_in_float32 "
        "test_gradients_go_through_to_the_model",
    ),
    (
        "the prompt, too",
        {LOGS: with_(whole=True)},
        "test_log_probs_of_replies test_log_probs_of_padded_rows test_log_probs_in_float32 "
        "test_gradients_go_through_to_the_model",
    ),
    (
        "averaged",
        {LOGS: with_(mean=True)},
        "test_log_probs_of_replies test_log_probs_of_padded_rows test_log_probs_in_float32 "
        "test_gradients_go_through_to_the_model",
    ),
    ("in bfloat16", {LOGS: with_(wide=False)}, "test_log_probs_in_float32"),
    ("no gradient", {LOGS: with_(grad=False)}, "test_gradients_go_through_to_the_model"),
    (
        "pairs one after another",
        {REWARDS: alternating},
        "test_rewards_and_loss test_rewards_of_any_number_of_pairs test_gradients_of_the_loss",
    ),
    (
        "rejected first",
        {REWARDS: the_other_way},
        "test_rewards_and_loss test_rewards_of_any_number_of_pairs test_gradients_of_the_loss",
    ),
    (
        "no reference",
        {REWARDS: lambda policy, _reference, beta: Loss(*(beta * policy).chunk(2))},
        "test_rewards_and_loss test_rewards_of_any_number_of_pairs test_gradients_of_the_loss",
    ),
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
