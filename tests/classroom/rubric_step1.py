"""Changes of step 1's solutions, and the points that each costs: 0 for another right way."""

import math

import torch
import torch.nn.functional as F


def bits_by_logsumexp(logits, following):
    logits = logits.float()
    log2p = (logits - logits.logsumexp(-1, keepdim=True)) * math.log2(math.e)
    products = torch.where(log2p > -math.inf, log2p * log2p.exp2(), 0.0)
    return log2p, -log2p[torch.arange(len(following)), following], -products.sum(-1)


def top_p_downwards(logits, p):
    best = logits.softmax(-1).sort(descending=True)
    needed = int((best.values.cumsum(-1) < p).sum()) + 1
    kept = torch.full_like(logits, -torch.inf)
    kept[best.indices[:needed]] = logits[best.indices[:needed]]
    return kept


def rope_by_complex_numbers(x, base):
    pairs = torch.complex(*x.chunk(2, dim=-1))
    half = pairs.shape[-1]
    speed = torch.exp(torch.arange(half) * (-math.log(base) / half))
    turn = torch.polar(torch.ones(x.shape[1], half), torch.outer(torch.arange(x.shape[1]).float(), speed))
    pairs = pairs * turn
    return torch.cat([pairs.real, pairs.imag], dim=-1)


def attend_by_torch(q, k, v):
    return F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True, enable_gqa=True)[0]


def quantize_by_reciprocal(weight):
    weight = weight.float()
    scale = (weight.abs().max(dim=1).values * (1 / 127)).bfloat16()
    scale[scale == 0] = 1
    return torch.floor(weight * (1 / scale.float())[:, None] + 0.5).char(), scale


PENALIZED = "    logits[seen] = torch.where(before > 0, before / penalty, before * penalty)"
EACH_MENTION = "    for i in seen.tolist():\n        logits[i] *= penalty if logits[i] < 0 else 1 / penalty"
HEARD = "on_token(token)\n"
KEPT = "done.ids.append(token)\n            sequence.append(token)\n            "
ROOT = "torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + eps)"
BITS = "torch.log_softmax(logits.float(), dim=-1) / math.log(2)"
NO_CACHE = "cache = DynamicCache(); ids = torch.tensor([sequence]"
CHANGES = [
    (0, {"bits": bits_by_logsumexp}),
    (0, {"keep_top_p": top_p_downwards}),
    (0, {"rope": rope_by_complex_numbers}),
    (0, {"attend": attend_by_torch}),
    (0, {"quantize_rows": quantize_by_reciprocal}),
    (0, {"quantize_rows": torch.inference_mode()(quantize_by_reciprocal)}),
    (0, ("generate", "(input_ids=ids, cache=cache,", "(ids, past_key_values=cache,")),
    (8, ("penalize_repetition", "before * penalty", "before / penalty")),
    (4, ("penalize_repetition", PENALIZED, EACH_MENTION)),
    (2, ("penalize_repetition", "logits = logits.clone()", "pass")),
    (10, ("bits", " / math.log(2)", "")),
    (4, ("bits", BITS, "logits.float().softmax(-1).log2()")),
    (3, ("bits", ".nan_to_num()", "")),
    (8, ("rms_norm", "return", "x = x - x.mean(-1, keepdim=True); return")),
    (3, ("rms_norm", ROOT, "1 / (x.pow(2).mean(dim=-1, keepdim=True).sqrt() + eps)")),
    (14, ("keep_top_p", "<= 1 - p", "- ordered.softmax(-1) < 1 - p")),
    (3, ("keep_top_p", "logits.masked_fill", "logits - logits + logits.masked_fill")),
    (14, ("rope", "b = x[..., half:]", "a, b = x[..., ::2], x[..., 1::2]")),
    (18, ("attend", "diagonal=1", "diagonal=0")),
    (18, ("attend", " / dim**0.5", "")),
    (13, ("attend", "v = v.repeat_interleave(group, dim=0)", "v = v.repeat(group, 1, 1)")),
    (8, ("quantize_rows", ".abs().amax(dim=1)", ".amax(dim=1)")),
    (3, ("quantize_rows", "/ scale.float()[:, None]", "/ (largest.clamp_min(1e-8) / 127)[:, None]")),
    (6, ("quantize_rows", ".round()", ".trunc()")),
    (2, ("quantize_rows", "return steps", "return weight.copy_(steps)")),
    (4, ("product", ") * scale", ") * scale.mean()")),
    (3, ("generate", "ids = torch.tensor([[token]]", NO_CACHE)),
    (3, ("generate", "done.stop_id = token", "done.stop_id = token; done.ids.append(token)")),
    (2, ("generate", KEPT + HEARD, f"on_token(token); {KEPT}\n")),
    (2, ("generate", "torch.tensor(sequence, device", "torch.tensor(done.ids, dtype=torch.long, device")),
    (1, ("generate", ", logits_to_keep=1", "")),
    (1, ("generate", "done.prefill_seconds = time", "_ = time")),
]
