"""Step 1: how a language model behaves at the level of tokens. The lesson is README.md."""
