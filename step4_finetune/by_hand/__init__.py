"""LoRA and the loss of DPO written out, and shown equal to PEFT and TRL."""
