"""Fine-tuning on one page: a LoRA adapter for a company's tone, scored by rules before and after.

    python -m step4_finetune.minimal                    about ten minutes on two cores
    python -m step4_finetune.minimal --rows 40          about five

Each row has a message, the company's notes, and a reply in tone: the model learns to write the reply from
the other two. Its weights stay frozen; beside each query and value matrix two thin ones are trained (the
roadmap's r=16, alpha 32). A program then counts the rules of the tone that replies to unseen messages keep.
"""

import tempfile
from typing import Any

from shared.config import load_settings
from shared.launch import run_main
from shared.models import load_causal_lm, load_tokenizer
from shared.models.device import settings_for_batch
from step4_finetune.data.rows import GUIDE, SAMPLE, read_rows
from step4_finetune.tone.guide import read_guide
from step4_finetune.tone.scores import score

HELD_OUT = 8  # messages to score on


def main(rows: int = 200, epochs: float = 1.0) -> None:
    """Train a LoRA adapter on the sample; print the share of the tone's rules kept, before and after."""
    import datasets
    import torch
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    settings, guide = settings_for_batch(load_settings()), read_guide(GUIDE)
    model, tokenizer = load_causal_lm(settings=settings), load_tokenizer(settings=settings)
    train, held_out = read_rows(SAMPLE, "train")[:rows], read_rows(SAMPLE, "dev")[:HELD_OUT]

    def measure(model: Any) -> tuple[float, str]:
        """The mean share of rules that replies to the held-out messages keep, and the first reply."""
        texts = []
        for row in held_out:
            asked = row.with_system(guide.system)
            inputs = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")
            with torch.inference_mode():
                out = model.generate(**inputs, max_new_tokens=120, do_sample=False)
            reply = out[0, inputs["input_ids"].shape[1] :]
            texts.append(str(tokenizer.decode(reply, skip_special_tokens=True)))
        return sum(score(each, guide).adherence for each in texts) / len(texts), texts[0]

    before, _ = measure(model)
    examples = [
        {
            "prompt": row.with_system(guide.system),
            "completion": [{"role": "assistant", "content": row.chosen}],
        }
        for row in train
    ]
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=folder,
                num_train_epochs=epochs,
                per_device_train_batch_size=8,
                learning_rate=2e-3,
                completion_only_loss=True,  # the loss counts the reply's tokens, not the prompt's
                bf16=False,  # the weights' own format, without conversions
                gradient_checkpointing=False,
                save_strategy="no",
                report_to="none",
                logging_steps=5,
                use_cpu=True,
            ),
            train_dataset=datasets.Dataset.from_list(examples),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules=["q_proj", "v_proj"]),
        )
        trainer.train()
    after, example = measure(trainer.model)
    print(
        f"rules kept: {before:.2f} before, {after:.2f} after, on {len(held_out)} unseen messages\n\n{example}"
    )


if __name__ == "__main__":
    run_main(main, "python -m step4_finetune.minimal")
