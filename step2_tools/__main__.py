"""Step 2: an assistant that answers by calling tools, the loop behind it, and measurements of its quality.

    python -m step2_tools "What is the weather in Bangkok?"      ask a question
    python -m step2_tools "..." --trace                          show every message
    python -m step2_tools chat                                   hold a conversation

The commands are in cli/. They import heavy libraries when they run, so that --help is fast.
"""

from shared.launch import run
from step2_tools.cli.app import app

if __name__ == "__main__":
    run(app, "python -m step2_tools")
