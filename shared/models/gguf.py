"""Converts a GGUF (llama.cpp's quantized file) to bfloat16 safetensors, tokenizer and chat template, once.

`from_pretrained(folder, gguf_file=...)` would take over ten seconds at every start; the converted copy loads
in under two. The weights keep the rounding errors of their quantization.
"""

from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import torch

from shared.models.quiet import quiet_transformers


def to_safetensors(gguf: Path, folder: Path) -> None:
    """Dequantize `gguf` into `folder` as an ordinary transformers model in bfloat16."""
    transformers = quiet_transformers()
    source = str(gguf.parent)
    name = gguf.name
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, gguf_file=name)
    with redirect_stderr(StringIO()):  # this progress bar of transformers can't be switched off
        dequantized = transformers.AutoModelForCausalLM.from_pretrained(
            source, gguf_file=name, dtype=torch.float32
        )
    weights = {key: value.to(torch.bfloat16) for key, value in dequantized.state_dict().items()}
    del dequantized

    # save_pretrained refuses a model loaded from a GGUF, so its weights go into a new one.
    config = transformers.AutoConfig.from_pretrained(source, gguf_file=name)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._name_or_path = ""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
