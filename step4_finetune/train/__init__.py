"""Training by a recipe: SFT, DPO, GRPO; LoRA, QLoRA, all weights."""
