"""Continuous batching by hand: a request that arrives while others decode joins at the next step.

    engine.py        the Engine of shared/embedded: text in, text out
    core.py          the loop that owns the model: schedule, run, sample, collect
    sequence.py      a request while it waits and runs
    scheduler.py     who joins, whose prompt is computed, who gets a token
    prefix_cache.py  a prefix that several prompts share is computed once
    kv_cache.py      keys and values: a slot for each running sequence
    model_runner.py  prefill and decode: attention over the slots
    sampler.py       from logits to tokens: penalty, greedy, accepted proposals, schemas
    llama.py         the model's forward pass, for tokens of many sequences at once
    linear.py        how a weight matrix is stored and multiplied: plain, packed, int8
    weights.py       a Llama's config and tensors, read from its files

How tokens are chosen, and what prompt lookup proposes: shared/embedded/decoding.py, as in every engine.

Why it pays: each forward pass reads all weights from memory once, for one sequence or for sixteen.

    one sequence       269 MB of weights -> 1 token
    sixteen sequences  269 MB of weights -> 16 tokens
"""
