"""Write a model's folder as one GGUF file for llama.cpp and Ollama: weights, tokenizer, chat template.

    >>> write(Path("tone"), Path("tone/model-q8_0.gguf"), "q8_0")
    PosixPath('tone/model-q8_0.gguf')

    model.layers.3.self_attn.q_proj.weight    ->  blk.3.attn_q.weight      rows of each head reordered
    model.layers.3.mlp.gate_proj.weight       ->  blk.3.ffn_gate.weight
    model.embed_tokens.weight                 ->  token_embd.weight

Llama's rotary embedding rotates pairs of numbers: here number i of a head pairs with number i + dim / 2, in
GGUF with its neighbour, so the rows of q and k are reordered.

Norms stay in float32. F16 keeps all digits of bf16, and its smaller range is enough for weights, so llama.cpp
writes what transformers writes. Q8_0 (eight bits, and a scale for every 32) is half the size; llama.cpp also
rounds activations to eight bits, and on SmolLM2-135M log-probabilities moved by up to 0.3.

For Llama-shaped models with a byte-level BPE; for others use llama.cpp's convert_hf_to_gguf.py.
"""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors import safe_open

from shared.errors import UserError

FORMATS = ("f16", "q8_0")

# The pre-tokenizers in tokenizer.json, and llama.cpp's name for them.
PRE_TOKENIZERS = {("ByteLevel",): "gpt-2", ("Digits", "ByteLevel"): "smollm"}
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # kinds of tokens
CONVERTER = "export with --gguf '', then use llama.cpp's convert_hf_to_gguf.py on the merged folder"


def write(folder: Path, out: Path, number_format: str = "q8_0") -> Path:
    """Convert a model's folder (config, safetensors, tokenizer; see `merge.save`) into one GGUF file.

    `number_format` is one of FORMATS, or f32.

    Raises:
        UserError: the model or tokenizer is of another kind.
        OSError: the file can't be written.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] != "llama" or config["rope_parameters"].get("rope_type") != "default":
        raise UserError(
            f"{folder} is a {config['model_type']} model: only Llama-shaped ones with plain RoPE are written "
            f"here; {CONVERTER}"
        )
    writer = gguf.GGUFWriter(out, "llama")
    describe(writer, config, folder.name, number_format)
    add_tokenizer(writer, folder, config["vocab_size"])
    add_tensors(writer, folder, config, number_format)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def describe(writer: Any, config: dict[str, Any], name: str, number_format: str) -> None:
    """Add the model's sizes under llama.cpp's keys."""
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_name(name)
    kind = "ALL_F32" if number_format == "f32" else f"MOSTLY_{number_format.upper()}"
    writer.add_file_type(gguf.LlamaFileType[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def add_tokenizer(writer: Any, folder: Path, size: int) -> None:
    """Add tokens, merges, special tokens and the chat template, from tokenizer.json.

    Raises:
        UserError: it is not a byte-level BPE that llama.cpp has a name for.
    """
    found = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model, cut = found["model"], found.get("pre_tokenizer") or {"type": None}
    name = PRE_TOKENIZERS.get(tuple(each["type"] for each in cut.get("pretokenizers", [cut])))
    if model["type"] != "BPE" or name is None or found.get("normalizer"):
        raise UserError(f"the tokenizer of {folder} is not supported here: {CONVERTER}")
    added = {each["id"]: each for each in found["added_tokens"]}
    tokens = {each: text for text, each in model["vocab"].items()} | {
        each: token["content"] for each, token in added.items()
    }
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(name)
    writer.add_token_list([tokens.get(each, f"[PAD{each}]") for each in range(size)])
    writer.add_token_types(
        [
            NORMAL if each not in added else CONTROL if added[each]["special"] else USER_DEFINED
            for each in range(size)
        ]
    )
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    # Merges, special tokens, and the chat template.
    gguf.SpecialVocab(folder, load_merges=True).add_to_gguf(writer, quiet=True)


def add_tensors(writer: Any, folder: Path, config: dict[str, Any], number_format: str) -> None:
    """Add every weight under its GGUF name and in its number format."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    wanted = gguf.GGMLQuantizationType[number_format.upper()]
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118
                weight = file.get_tensor(key).float().numpy()
                if n := next((n for part, n in heads.items() if part in key), None):
                    weight = neighbours(weight, n)
                kind = gguf.GGMLQuantizationType.F32 if weight.ndim == 1 else wanted
                name = names.get_name(key, try_suffixes=(".weight", ".bias"))
                writer.add_tensor(name, gguf.quants.quantize(weight, kind), raw_dtype=kind)


def neighbours(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows 0, 1, 2 ... of each head as 0, half, 1, half + 1 ...: (heads * dim, in) -> the same shape."""
    halves = weight.reshape(heads, 2, -1, *weight.shape[1:])  # (heads, 2, dim / 2, in)
    return halves.swapaxes(1, 2).reshape(weight.shape)
