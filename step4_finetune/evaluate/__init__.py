"""Base, prompting and tuned models, measured side by side: tone, fidelity, and what was forgotten."""
