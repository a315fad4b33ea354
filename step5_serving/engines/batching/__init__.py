"""Continuous batching by hand: requests that arrive while others decode join at the next step.

    engine.py        the Engine of shared/embedded: text in, text out
    core.py          the loop that owns the model: schedule, run, sample, collect
    sequence.py      a request while it waits and runs
    scheduler.py     who joins, whose prompt is computed, who gets a token
    prefix_cache.py  what prompts begin with alike is computed once
    lookup.py        proposes tokens that stood in the prompt, several for one forward pass
    kv_cache.py      keys and values: a slot for each running sequence
    model_runner.py  prefill and decode: attention over the slots
    sampler.py       from logits to tokens: penalty, greedy, schemas
    llama.py         the model's forward pass, written out, for tokens of many sequences at once
    linear.py        how a matrix of weights is held and multiplied: plain, packed, int8
    weights.py       what a Llama is made of, read from its files

Why it pays: to write one token, all weights must come from memory once, for one sequence as for sixteen.

    one sequence       269 MB of weights -> 1 token
    sixteen sequences  269 MB of weights -> 16 tokens
"""
