"""Step 1: tokens, embeddings, attention, the block, and the loop that generates text.

    python -m step1_foundations                            answer the default prompt
    python -m step1_foundations "Why is the sky blue?"     answer another prompt
    python -m step1_foundations tokens "Why is it?"        show the tokens of a text

The commands are in cli/. They import heavy libraries when they run, so that --help is fast.
"""

from shared.cli import new_app
from shared.launch import run
from step1_foundations.cli import commands

app = new_app("Step 1: from tokens to the loop that generates text.", default="generate")
app.command()(commands.generate)
app.command()(commands.bigram)
app.command()(commands.tokens)
app.command()(commands.merges)
app.command()(commands.embeddings)
app.command()(commands.attention)
app.command()(commands.block)
app.command()(commands.logit_lens)
app.command("next")(commands.next_token)
app.command()(commands.bench)

if __name__ == "__main__":
    run(app, "python -m step1_foundations")
