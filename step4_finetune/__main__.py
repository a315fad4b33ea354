"""Step 4: teach a small model a company's tone, and prove it.

    python -m step4_finetune train --out runs/tone                 half an hour on one core
    python -m step4_finetune evaluate --adapter runs/tone          better than prompting? what broke?
    python -m step4_finetune chat "it leaks" --adapter runs/tone   base and tuned, side by side

The commands are in cli/.
"""

from shared.launch import run
from step4_finetune.cli.app import app

if __name__ == "__main__":
    run(app, "python -m step4_finetune")
