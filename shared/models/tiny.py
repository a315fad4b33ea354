"""`tiny`: a random two-layer Llama with a real tokenizer, for tests and `--smoke`.

It has every part of SmolLM2 (byte-level BPE, chat template, grouped-query attention, RoPE, tied embeddings)
and 0.1 M parameters. Building it takes under a second and gives the same model on every machine. Its text is
nonsense.
"""

import hashlib
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from shared.models.quiet import quiet_transformers

CORPUS = Path(__file__).with_name("tiny_corpus.txt")
VOCABULARY = 512
CONTEXT = 2048

# SmolLM2's turn markers (ChatML), so that code for them works on both models.
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def recipe() -> str:
    """A short hash of this file and its corpus; it changes when the model does."""
    return hashlib.sha256(Path(__file__).read_bytes() + CORPUS.read_bytes()).hexdigest()[:8]


def build(folder: Path) -> None:
    """Train the tokenizer, draw the weights from a fixed seed, and save both to `folder`."""
    import torch  # here, since weights.py imports this module for models of any kind

    transformers = quiet_transformers()
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train([str(CORPUS)], trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.2,  # wide enough that predictions differ from token to token
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
