"""Step 1: tokens, embeddings, attention, the block, and the loop that generates text.

    python -m step1_foundations                            answer the default prompt
    python -m step1_foundations "Why is the sky blue?"     answer another prompt
    python -m step1_foundations tokens "Why is it?"        show the tokens of a text

The commands are in cli/.
"""

from shared.launch import run
from step1_foundations.cli.app import app

if __name__ == "__main__":
    run(app, "python -m step1_foundations")
