"""The rubric of step 1: right solutions of any kind get all points, wrong ones lose what they should."""

import contextlib
import math
import time
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from step1_foundations.generate import Generation
from step1_foundations.int8 import quantize_rows
from step1_foundations.sampling import Sampling, choose
from tests.classroom.rubric_helpers import (
    assert_all_pass,
    lost,
    not_attempted,
    of_wrong,
    points,
    rubric,
)

PENALTY, TOP_P = "step1_foundations.sampling:penalize_repetition", "step1_foundations.sampling:keep_top_p"
BITS, RMS_NORM = "step1_foundations.next_token:bits", "step1_foundations.block:rms_norm"
ROPE, ATTEND = "step1_foundations.block:rope", "step1_foundations.block:attend"
QUANTIZE, PRODUCT = "step1_foundations.int8:quantize_rows", "step1_foundations.int8:product"
GENERATE = "step1_foundations.generate:generate"


def test_stubs_are_not_attempted():
    stubs = {PENALTY: "1.1", BITS: "1.2", RMS_NORM: "1.3", TOP_P: "1.4", ROPE: "1.5", ATTEND: "1.6"}
    stubs |= {QUANTIZE: "1.7", PRODUCT: "1.7", GENERATE: "1.8"}
    outcomes = of_wrong("step1", {target: not_attempted(id) for target, id in stubs.items()})
    assert {each.status for each in outcomes.values()} == {"not attempted"}
    assert set(stubs.values()) == {each.id for each in rubric("step1")}


# --- other right solutions --------------------------------------------------------------------------------


def penalty_in_a_loop(logits, seen, penalty):
    new = [float(each) for each in logits]
    for token in set(seen.tolist()):
        new[token] = new[token] / penalty if new[token] > 0 else new[token] * penalty
    return torch.tensor(new)


def bits_by_logsumexp(logits, following):
    logits = logits.float()
    log2p = (logits - logits.logsumexp(-1, keepdim=True)) * math.log2(math.e)
    products = torch.where(log2p > -math.inf, log2p * log2p.exp2(), 0.0)
    return log2p, -log2p[torch.arange(len(following)), following], -products.sum(-1)


def rms_norm_row_by_row(x, weight, eps):
    return torch.stack([weight * (row / ((row * row).sum() / len(row) + eps).sqrt()) for row in x])


def top_p_downwards(logits, p):
    best = logits.softmax(-1).sort(descending=True)
    needed = int((best.values.cumsum(-1) < p).sum()) + 1
    kept = torch.full_like(logits, -torch.inf)
    kept[best.indices[:needed]] = logits[best.indices[:needed]]
    return kept


def rope_by_complex_numbers(x, base):
    pairs = torch.complex(*x.chunk(2, dim=-1))
    half = pairs.shape[-1]
    speed = torch.exp(torch.arange(half) * (-2 * math.log(base) / (2 * half)))
    turn = torch.polar(torch.ones(x.shape[1], half), torch.outer(torch.arange(x.shape[1]).float(), speed))
    pairs = pairs * turn
    return torch.cat([pairs.real, pairs.imag], dim=-1)


def attend_by_torch(q, k, v, note=None):
    return F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True, enable_gqa=True)[0]


def attend_row_by_row(q, k, v, note=None):
    rows = []
    for head in range(len(q)):
        mine, other = q[head], head * len(k) // len(q)
        for t in range(q.shape[1]):
            scores = (k[other, : t + 1] * mine[t]).sum(-1) * q.shape[2] ** -0.5
            powers = (scores - scores.max()).exp()
            rows.append((v[other, : t + 1] * powers[:, None]).sum(0) / powers.sum())
    return torch.stack(rows).view(q.shape)


def quantize_by_reciprocal(weight):
    weight = weight.float()
    scale = (weight.abs().max(dim=1).values * (1 / 127)).bfloat16()
    scale[scale == 0] = 1
    return torch.floor(weight * (1 / scale.float())[:, None] + 0.5).char(), scale


def product_in_float32(rows, weight_int8, scale):
    return (rows.float() @ (weight_int8.float() * scale.float()[:, None]).T).bfloat16()


def loop(
    cached=True,
    keeps_stop=False,
    heard_first=False,
    prompt_seen=True,
    draws=True,
    places=1,
    times=True,
):
    """The loop of the exercise, right unless something is said."""

    def generate(
        model,
        prompt,
        max_new_tokens,
        sampling=None,
        stop_ids=frozenset(),
        generator=None,
        on_token=lambda _token: None,
    ):
        done, start = Generation(), time.perf_counter()
        past, written = None, []
        try:
            while len(written) < max_new_tokens:
                whole = [*prompt[0].tolist(), *written]
                new = whole if not cached or not written else whole[-1:]
                with torch.inference_mode():
                    out = model(
                        torch.tensor([new]), past_key_values=past, use_cache=cached, logits_to_keep=places
                    )
                past = out.past_key_values if cached else None
                seen = torch.tensor(whole if prompt_seen else written, dtype=torch.long)
                token = choose(out.logits[0, -1], seen, (draws and sampling) or Sampling(), generator)
                if times and not done.prefill_seconds:
                    done.prefill_seconds = time.perf_counter() - start
                if token in stop_ids:
                    done.stop_reason, done.stop_id = "stop", token
                    if keeps_stop:
                        written.append(token)
                    break
                if heard_first:
                    on_token(token)
                written.append(token)
                if not heard_first:
                    on_token(token)
        except KeyboardInterrupt:
            done.stop_reason = "interrupt"
        done.ids = written
        done.decode_seconds = time.perf_counter() - start - done.prefill_seconds
        return done

    return generate


def test_other_right_solutions_get_all_points():
    right = {
        PENALTY: penalty_in_a_loop,
        BITS: bits_by_logsumexp,
        RMS_NORM: rms_norm_row_by_row,
        TOP_P: top_p_downwards,
        ROPE: rope_by_complex_numbers,
        ATTEND: attend_by_torch,
        QUANTIZE: quantize_by_reciprocal,
        PRODUCT: product_in_float32,
        GENERATE: loop(),
    }
    assert_all_pass(of_wrong("step1", right))
    assert_all_pass(of_wrong("step1", {ATTEND: attend_row_by_row}, "1.6"))


# --- wrong ones -------------------------------------------------------------------------------------------


def divides_all(logits, seen, penalty):
    logits = logits.clone()
    logits[seen] /= penalty
    return logits


def each_mention(logits, seen, penalty):
    logits = logits.clone()
    for token in seen.tolist():
        logits[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
    return logits


def in_place(logits, seen, penalty):
    logits[seen] = torch.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
    return logits


def in_nats(logits, following):
    logp = logits.float().log_softmax(-1)
    return logp, -logp.gather(1, following[:, None])[:, 0], -(logp.exp() * logp).nan_to_num().sum(-1)


def by_softmax(logits, following):
    log2p = logits.float().softmax(-1).log2()
    return log2p, -log2p.gather(1, following[:, None])[:, 0], -(log2p.exp2() * log2p).nan_to_num().sum(-1)


def with_nan(logits, following):
    log2p = logits.float().log_softmax(-1) / math.log(2)
    return log2p, -log2p.gather(1, following[:, None])[:, 0], -(log2p.exp2() * log2p).sum(-1)


def layer_norm(x, weight, eps):
    return F.layer_norm(x, x.shape[-1:], weight, eps=eps)


def eps_outside(x, weight, eps):
    return x / (x.pow(2).mean(dim=-1, keepdim=True).sqrt() + eps) * weight


def without_the_last(logits, p):
    best = logits.softmax(-1).sort(descending=True)
    drop = best.values.cumsum(-1) >= p
    return logits.masked_fill(torch.zeros_like(drop).scatter(0, best.indices, drop), -torch.inf)


def nan_at_infinity(logits, p):
    return logits + (top_p_downwards(logits, p) - logits)  # minus infinity, less itself


def turned(x, base, first=0):
    half = x.shape[-1] // 2
    angle = torch.arange(first, first + x.shape[1])[:, None] / base ** (torch.arange(half) / half)
    cos, sin = angle.cos(), angle.sin()
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def neighbours_paired(x, base):
    """Pairs (x[0], x[1]), (x[2], x[3]) ...: RoPE as in GPT-J."""
    got = turned(torch.cat([x[..., ::2], x[..., 1::2]], dim=-1), base)
    return torch.stack(got.chunk(2, dim=-1), dim=-1).flatten(2)


def attending(diagonal=1, scaled=True, tiled=False):
    def attend(q, k, v, note=None):
        repeat = len(q) // len(k)
        k, v = (
            each.repeat(repeat, 1, 1) if tiled else each.repeat_interleave(repeat, dim=0) for each in (k, v)
        )
        scores = q @ k.transpose(1, 2) / (q.shape[2] ** 0.5 if scaled else 1)
        future = torch.ones(scores.shape[1:], dtype=torch.bool).triu(diagonal=diagonal)
        return scores.masked_fill(future, -torch.inf).softmax(-1) @ v

    return attend


def quantizing(largest=lambda w: w.abs().amax(1), kept=True, rounded=torch.round):
    def quantize(weight):
        weight = weight.float()
        scale = largest(weight).clamp_min(1e-8) / 127
        scale = scale.bfloat16().float() if kept else scale
        whole = rounded(weight / scale[:, None]).clamp(-127, 127)
        return whole.to(torch.int8), scale.bfloat16()

    return quantize


def quantize_in_place(weight):
    rounded, scale = quantize_rows(weight)
    weight.copy_(rounded)
    return rounded, scale


ALL = "all"
QUANTIZED = {"test_quantize_small", "test_quantize", "test_quantize_edges"}
WRONG = [
    (PENALTY, divides_all, ALL, 8),
    (PENALTY, each_mention, {"test_penalty"}, 4),
    (PENALTY, in_place, {"test_penalty_leaves_its_arguments"}, 2),
    (BITS, in_nats, ALL, 10),
    (BITS, by_softmax, {"test_bits_far"}, 4),
    (BITS, with_nan, {"test_bits_impossible"}, 3),
    (RMS_NORM, layer_norm, ALL, 8),
    (RMS_NORM, eps_outside, {"test_rms_norm_eps"}, 3),
    (TOP_P, without_the_last, ALL, 14),
    (TOP_P, nan_at_infinity, {"test_top_p_after_top_k"}, 3),
    (ROPE, neighbours_paired, ALL, 14),
    (ROPE, lambda x, base: turned(x, base, first=1), ALL, 14),
    (ATTEND, attending(diagonal=0), ALL, 18),
    (ATTEND, attending(scaled=False), ALL, 18),
    (ATTEND, attending(tiled=True), {"test_attend_grouped", "test_attend_edges"}, 13),
    (QUANTIZE, quantizing(largest=lambda w: w.amax(1)), QUANTIZED, 9),
    (QUANTIZE, quantizing(kept=False), {"test_quantize"}, 3),
    (QUANTIZE, quantizing(rounded=torch.trunc), {"test_quantize_small", "test_quantize"}, 7),
    (QUANTIZE, quantize_in_place, {"test_quantize_edges"}, 2),
    (
        PRODUCT,
        lambda rows, weight, scale: F.linear(rows, weight.to(rows.dtype)) * scale.mean(),
        {"test_product"},
        3,
    ),
    (GENERATE, loop(cached=False), {"test_write_cached"}, 3),
    (GENERATE, loop(keeps_stop=True), {"test_write_stops"}, 3),
    (GENERATE, loop(heard_first=True), {"test_write_interrupted"}, 2),
    (GENERATE, loop(prompt_seen=False), {"test_write_draws"}, 2),
    (GENERATE, loop(draws=False), {"test_write_draws"}, 2),
    (GENERATE, loop(places=0), {"test_write_last_place"}, 1),
    (GENERATE, loop(times=False), {"test_write_last_place"}, 1),
]


@pytest.mark.parametrize(("target", "wrong", "tests", "less"), WRONG)
def test_a_wrong_solution_loses_points(target, wrong, tests, less):
    exercise = next(each for each in rubric("step1") if each.title == TITLES[target])
    outcomes = of_wrong("step1", {target: wrong}, exercise.id)
    mine = {test: each for test, each in outcomes.items() if each.mark.id == exercise.id}
    assert lost(mine) == ({mark.test for mark in exercise.marks} if tests == ALL else tests)
    assert points(mine) == exercise.points - less


def junk_to_the_model(model, prompt, *_args, **_kwargs):
    for read in (torch.zeros(1, 200), torch.zeros(1, 0)):
        with contextlib.suppress(Exception):
            model(read)
    return SimpleNamespace(
        ids=[1.5], stop_reason=None, stop_id="x", prefill_seconds=-1.0, decode_seconds=-1.0
    )


@pytest.mark.parametrize("junk", [None, (None, "a"), (torch.zeros(3, 2).T, torch.tensor(math.nan))])
def test_junk_is_wrong_and_no_test_breaks_on_it(junk):
    wrong = dict.fromkeys(TITLES, lambda *_args, **_kwargs: junk)
    outcomes = of_wrong("step1", {**wrong, GENERATE: junk_to_the_model})  # raises where a test is broken
    assert points(outcomes) == 0


TITLES = {
    PENALTY: "Repetition penalty",
    BITS: "Surprisal and entropy",
    RMS_NORM: "RMSNorm",
    TOP_P: "Top-p",
    ROPE: "RoPE",
    ATTEND: "Causal attention",
    QUANTIZE: "A linear layer in int8",
    PRODUCT: "A linear layer in int8",
    GENERATE: "The cached loop",
}
