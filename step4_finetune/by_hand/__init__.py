"""The loss mask, LoRA, DPO's loss, GRPO's advantage and a paired bootstrap, written out."""
