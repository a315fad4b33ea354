"""The rubric of step 1: other right ways get all points, and a mistake costs what it should."""

import contextlib
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from classroom.assignment import spec
from classroom.grading.grade import grade
from tests.classroom.rubric_helpers import Plain, lost, of_wrong, points, written

PENALTY, TOP_P = "step1_foundations.sampling:penalize_repetition", "step1_foundations.sampling:keep_top_p"
BITS, RMS_NORM = "step1_foundations.next_token:bits", "step1_foundations.block:rms_norm"
ROPE, ATTEND = "step1_foundations.block:rope", "step1_foundations.block:attend"
QUANTIZE, PRODUCT = "step1_foundations.int8:quantize_rows", "step1_foundations.int8:product"
GENERATE = "step1_foundations.generate:generate"


# --- right in another way ---------------------------------------------------------------------------------


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


def attend_by_torch(q, k, v, note=None):
    return F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True, enable_gqa=True)[0]


def quantize_by_reciprocal(weight):
    weight = weight.float()
    scale = (weight.abs().max(dim=1).values * (1 / 127)).bfloat16()
    scale[scale == 0] = 1
    return torch.floor(weight * (1 / scale.float())[:, None] + 0.5).char(), scale


RIGHT = [
    {BITS: bits_by_logsumexp},
    {TOP_P: top_p_downwards},
    {ROPE: rope_by_complex_numbers},
    {ATTEND: attend_by_torch},
    {QUANTIZE: quantize_by_reciprocal},
    {QUANTIZE: torch.inference_mode()(quantize_by_reciprocal)},
    (GENERATE, "(input_ids=ids, cache=cache,", "(ids, past_key_values=cache,"),
]


@pytest.mark.parametrize("right", RIGHT)
def test_another_right_way_costs_nothing(right):
    assert lost("step1", right) == 0


# --- wrong: what stands there instead, and the points that it costs ----------------------------------------

PENALIZED = "    logits[seen] = torch.where(before > 0, before / penalty, before * penalty)"
EACH_MENTION = "    for i in seen.tolist():\n        logits[i] *= penalty if logits[i] < 0 else 1 / penalty"
HEARD = "on_token(token)\n"
KEPT = "done.ids.append(token)\n            sequence.append(token)\n            "
ROOT = "torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + eps)"
WRONG = [
    (PENALTY, "before * penalty", "before / penalty", 8),
    (PENALTY, PENALIZED, EACH_MENTION, 4),
    (PENALTY, "logits = logits.clone()", "pass", 2),
    (BITS, " / math.log(2)", "", 10),
    (BITS, "torch.log_softmax(logits.float(), dim=-1) / math.log(2)", "logits.float().softmax(-1).log2()", 4),
    (BITS, ".nan_to_num()", "", 3),
    (RMS_NORM, "return", "x = x - x.mean(-1, keepdim=True); return", 8),
    (RMS_NORM, ROOT, "1 / (x.pow(2).mean(dim=-1, keepdim=True).sqrt() + eps)", 3),
    (TOP_P, "<= 1 - p", "- ordered.softmax(-1) < 1 - p", 14),
    (TOP_P, "logits.masked_fill", "logits - logits + logits.masked_fill", 3),
    (ROPE, "x[..., :half], x[..., half:]", "x[..., ::2], x[..., 1::2]", 14),
    (ATTEND, "diagonal=1", "diagonal=0", 18),
    (ATTEND, " / dim**0.5", "", 18),
    (ATTEND, "v = v.repeat_interleave(group, dim=0)", "v = v.repeat(group, 1, 1)", 13),
    (QUANTIZE, ".abs().amax(dim=1)", ".amax(dim=1)", 9),
    (QUANTIZE, "/ scale.float()[:, None]", "/ (largest.clamp_min(1e-8) / 127)[:, None]", 3),
    (QUANTIZE, ".round()", ".trunc()", 7),
    (QUANTIZE, "return steps", "return weight.copy_(steps)", 2),
    (PRODUCT, ") * scale", ") * scale.mean()", 3),
    (GENERATE, "ids = torch.tensor([[token]]", "cache = DynamicCache(); ids = torch.tensor([sequence]", 3),
    (GENERATE, '= "stop", token', '= "stop", token; done.ids.append(token)', 3),
    (GENERATE, KEPT + HEARD, f"on_token(token); {KEPT}\n", 2),
    (GENERATE, "torch.tensor(sequence, device", "torch.tensor(done.ids, dtype=torch.long, device", 2),
    (GENERATE, ", logits_to_keep=1", "", 1),
    (GENERATE, "done.prefill_seconds = time", "_ = time", 1),
]


@pytest.mark.parametrize(("target", "old", "new", "less"), WRONG)
def test_a_mistake_costs_its_points(target, old, new, less):
    assert lost("step1", (target, old, new)) == less


def junk_to_the_model(model, prompt, *_args, **_kwargs):
    for read in (torch.zeros(1, 200), torch.zeros(1, 0)):
        with contextlib.suppress(Exception):
            model(read)
    return SimpleNamespace(
        ids=[1.5], stop_reason=None, stop_id="x", prefill_seconds=-1.0, decode_seconds=-1.0
    )


@pytest.mark.parametrize("junk", [(None, "a"), (torch.zeros(3, 2).T, torch.tensor(math.nan))])
def test_junk_is_wrong_and_no_test_breaks_on_it(junk):
    wrong = dict.fromkeys(written("step1"), lambda *_args, **_kwargs: junk)
    outcomes = of_wrong("step1", {**wrong, GENERATE: junk_to_the_model})  # raises where a test is broken
    assert points(outcomes) == 0


def test_an_error_in_one_file_costs_no_points_of_another(tmp_path):
    folder = tmp_path / "ada" / "step1_foundations"
    folder.mkdir(parents=True)
    for name in ("generate.py", "sampling.py"):
        (folder / name).write_bytes((spec.ROOT / "step1_foundations" / name).read_bytes())
    (folder / "int8.py").write_text("def quantize_rows(")
    result = grade(tmp_path / "ada", "step1", seed=1, open_worker=Plain, only=["test_write_small"])
    assert {item.id: item.score for item in result.items if item.score} == {"1.8": 5}
