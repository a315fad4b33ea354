"""Step 2: an assistant that answers by calling tools, the loop that makes it one, and how good it is.

    python -m step2_tools "What is the weather in Bangkok?"      ask (the command's name may be left out)
    python -m step2_tools "..." --trace                          see every message
    python -m step2_tools chat                                   a conversation

The commands are in cli/. Heavy libraries are imported inside them, so that --help is quick.
"""

from __future__ import annotations

from shared.cli import run
from step2_tools.cli.app import app

if __name__ == "__main__":
    run(app, "python -m step2_tools")
