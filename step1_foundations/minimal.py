"""Text generation on one page: load a model, tokenize a prompt, generate, decode, print.

    python -m step1_foundations.minimal

The rest of this step shows what happens inside. generate.py contains the loop behind `model.generate`.
"""

from shared.launch import run_main
from shared.models import load_causal_lm, load_tokenizer

PROMPT = "Explain what a transformer is:"


def main() -> None:
    """Continue the prompt by at most 80 tokens and print it all."""
    tokenizer = load_tokenizer()  # SmolLM2-135M-Instruct, or what ROADMAP_MODEL names
    model = load_causal_lm()
    inputs = tokenizer(PROMPT, return_tensors="pt").to(model.device)  # input_ids: (1, 6), one id per token
    output = model.generate(**inputs, max_new_tokens=80)  # (1, 86): the prompt's ids, then the new ones
    print(tokenizer.decode(output[0], skip_special_tokens=True))


if __name__ == "__main__":
    run_main(main, "python -m step1_foundations.minimal")
