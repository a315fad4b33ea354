"""Continuous batching by hand: requests that arrive while others decode join at the next step.

    weights.py     what a Llama is made of, read from its files
    llama.py       the model's forward, written out, for tokens of many rows at once
    linear.py      how a matrix of weights is held and multiplied: plain, packed, int8
    seats.py       the KV cache: a seat for each row, none moved or grown while it sits
    choose.py      from logits to tokens: penalty, greedy, sampling, for all rows at once
    request.py     what a request is while it waits and runs
    scheduler.py   the loop: who joins, who reads, who decodes, who leaves
    engine.py      the Engine of shared/embedded on top of it

Why it pays: to write one token, all weights must come from memory once, for one row as for sixteen.

    one row       269 MB of weights -> 1 token
    sixteen rows  269 MB of weights -> 16 tokens
"""
