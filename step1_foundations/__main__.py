"""Step 1: tokens, embeddings, attention, the block, and the loop that generates text.

    python -m step1_foundations                           answer the default prompt
    python -m step1_foundations "Why is the sky blue?"     answer another
    python -m step1_foundations attention --all           draw every attention head

The commands are in cli/. Heavy libraries are imported inside them, so that --help is quick.
"""

from __future__ import annotations

import sys

from shared.cli import new_app, run, with_default
from step1_foundations.cli import commands

app = new_app("Step 1: tokens, embeddings, attention, the block, and the loop that generates text.")
app.command()(commands.generate)
app.command()(commands.tokens)
app.command()(commands.merges)
app.command()(commands.embeddings)
app.command()(commands.attention)
app.command()(commands.block)
app.command()(commands.logit_lens)
app.command("next")(commands.next_token)
app.command()(commands.perplexity)
app.command()(commands.bench)


def with_default_command(args: list[str]) -> list[str]:
    """`generate` runs when no command is named: put it in front of a prompt or of flags."""
    return with_default(app, "generate", args)


if __name__ == "__main__":
    run(app, "python -m step1_foundations", with_default_command(sys.argv[1:]))
