"""The same model in fewer bits, by three libraries, behind one small interface (quantize.py's `Measured`).

    >>> model = load("int8", settings, folder, scratch)
    >>> model.write(prompt, 20), model.log_likelihood(ids), model.weight_bytes()

The linear layers are quantized; embedding and norms stay. SmolLM2's head is its embedding: `int8` holds it a
second time in eight bits, bitsandbytes leaves it alone, llama.cpp quantizes the one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from shared import models
from shared.config import Settings
from shared.embedded.on_llamacpp import LlamaCppEngine
from shared.models import weights
from step5_serving.engines.batching import linear

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Torch:
    """A transformers model, however its layers hold their weights."""

    def __init__(self, model: PreTrainedModel, ends: frozenset[int]) -> None:
        self.model, self._ends = model, ends

    @classmethod
    def load(cls, settings: Settings, dtype: str, **kwargs: Any) -> Torch:
        """The model of the settings on the processor; `kwargs` go to `from_pretrained`."""
        tokenizer: Any = models.load_tokenizer(settings=settings)
        model = models.load_causal_lm(settings=settings, device="cpu", dtype=dtype, **kwargs)
        return cls(model, frozenset(tokenizer.all_special_ids))

    @torch.inference_mode()
    def write(self, prompt: list[int], limit: int) -> list[int]:
        """See `Measured.write`."""
        from transformers import DynamicCache

        kept: Any = DynamicCache(config=self.model.config)
        unread, written = prompt, list[int]()
        while len(written) < limit:
            row = torch.tensor([unread])
            token = int(
                self.model(input_ids=row, cache=kept, use_cache=True, logits_to_keep=1).logits.argmax()
            )
            if token in self._ends:
                break
            written.append(token)
            unread = [token]
        return written

    @torch.inference_mode()
    def log_likelihood(self, ids: list[int]) -> float:
        """See `Measured.log_likelihood`."""
        row = torch.tensor([ids])
        logits = self.model(input_ids=row, use_cache=False).logits[0, :-1].float()
        return float(-nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum"))

    def weight_bytes(self) -> int:
        """See `Measured.weight_bytes`: of every tensor in it, each piece of memory once."""
        seen: dict[int, int] = {}
        for tensor in self._tensors():
            storage = tensor.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
        packed = sum(getattr(each, "packed_bytes", 0) for each in self.model.modules())
        return sum(seen.values()) + packed

    def _tensors(self) -> Iterator[Tensor]:
        for each in (*self.model.parameters(), *self.model.buffers()):
            yield each.data
            state = getattr(each, "quant_state", None)  # of bitsandbytes' four bits: the scales
            for part in (state, getattr(state, "state2", None)):
                for name in ("absmax", "code", "offset"):
                    if isinstance(tensor := getattr(part, name, None), Tensor):
                        yield tensor
            if isinstance(scales := getattr(each, "SCB", None), Tensor):  # and of its eight bits
                yield scales


class Int8(nn.Module):
    """A linear layer by the batcher's own int8 product."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        bias = layer.bias.detach().float() if layer.bias is not None else None
        self._multiply = linear.int8(layer.weight.detach(), bias)
        self.packed_bytes = layer.weight.numel() + 8 * len(layer.weight)  # and a scale for each output

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)"""
        return self._multiply(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], -1)


def int8(settings: Settings) -> Torch:
    """Every linear layer in eight bits; the embedding in sixteen, as the batcher has it."""
    made = Torch.load(settings, "float32")
    for parent in list(made.model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, Int8(child))
    embedding: Any = made.model.get_input_embeddings()
    embedding.weight.data = embedding.weight.data.bfloat16()
    embedding.register_forward_hook(lambda _module, _args, out: out.float())
    return made


def bitsandbytes(settings: Settings, way: str) -> Torch:
    """LLM.int8() (Dettmers et al. 2022, arXiv:2208.07339) or nf4 (2023, arXiv:2305.14314)."""
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # a line for each product, else
    kinds: dict[str, dict[str, Any]] = {
        "bnb int8": {"load_in_8bit": True},
        "nf4": {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": torch.bfloat16,
        },
    }
    config = BitsAndBytesConfig(**kinds[way])
    return Torch.load(settings, "bfloat16", quantization_config=config, device_map={"": "cpu"})


class Gguf:
    """A file of llama.cpp."""

    def __init__(self, engine: LlamaCppEngine, file: Path) -> None:
        self._engine, self._file = engine, file

    @classmethod
    def load(cls, settings: Settings, folder: Path, scratch: Path, kind: str | None) -> Gguf:
        """The GGUF beside the model's weights, or another one made from it: `Q8_0`."""
        source = weights.gguf_of(folder)
        assert source
        home = scratch / (kind or source.stem)
        home.mkdir()
        file = home / source.name
        if kind:
            requantize(source, file, kind)
        else:
            file.symlink_to(source)
        for name in ("config.json", "tokenizer.json"):
            (home / name).symlink_to(folder / name)
        return cls(LlamaCppEngine.load(home, settings), file)

    def write(self, prompt: list[int], limit: int) -> list[int]:
        """See `Measured.write`."""
        text = "".join(str(each["choices"][0]["text"]) for each in self._ask(prompt, limit))
        return self._engine.encode(text)

    def log_likelihood(self, ids: list[int]) -> float | None:
        """See `Measured.log_likelihood`.

        The server tells the log-probability of what it wrote, before any bias. So each token of the text is
        forced by a bias, one request each; what was read before stays in its cache.
        """
        found = [self._of_next(ids[:n], ids[n]) for n in range(1, len(ids))]
        known = [each for each in found if each is not None]
        return sum(known) if len(known) == len(found) else None

    def _of_next(self, before: list[int], token: int) -> float | None:
        said = [each["choices"][0].get("logprobs") for each in self._ask(before, 1, bias=token)]
        written = [entry for each in said if each for entry in each["content"]]
        return float(written[0]["logprob"]) if written and written[0]["id"] == token else None

    def weight_bytes(self) -> int:
        """See `Measured.weight_bytes`: the file's tensors."""
        from gguf import GGUFReader

        return int(sum(each.n_bytes for each in GGUFReader(self._file).tensors))

    def _ask(self, prompt: list[int], limit: int, bias: int | None = None) -> Iterator[dict[str, Any]]:
        request: dict[str, Any] = {"prompt": prompt, "n_predict": limit, "temperature": 0}
        request["repeat_penalty"] = 1.0
        if bias is not None:
            request |= {"n_probs": 1, "logprobs": 1, "logit_bias": [[bias, 1000]]}
        return self._engine._chunks(request)


def load(way: str, settings: Settings, folder: Path, scratch: Path) -> Torch | Gguf:
    """The model in one of the ways (quantize.WAYS)."""
    if way == "int8":
        return int8(settings)
    if way in ("bnb int8", "nf4"):
        return bitsandbytes(settings, way)
    if way.startswith("gguf"):
        return Gguf.load(settings, folder, scratch, "Q8_0" if way == "gguf q8_0" else None)
    return Torch.load(settings, {"fp32": "float32", "bf16": "bfloat16"}[way])


def requantize(source: Path, target: Path, kind: str) -> None:
    """Write a GGUF's matrices anew in another format; everything else in it stays."""
    from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, dequantize, quantize

    reader, wanted = GGUFReader(source), GGMLQuantizationType[kind]
    writer = GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue  # the writer's own
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], inner)
    for tensor in reader.tensors:
        if len(tensor.shape) == 1:  # norms
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        numbers = dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, quantize(numbers, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
