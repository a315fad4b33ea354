"""Arrays and tensors as JSON: numpy's own file format as text, without its pickles.

    >>> encode(numpy.ones(2))["$"]
    'array'

Neither numpy nor torch is imported for other values. An array is built only after its header was checked: a
header of 100 bytes can claim a petabyte.
"""

import base64
import io
import math
import re
import sys
from typing import Any

MAX_BYTES = 1 << 20  # of one array
KINDS = "biufcSU"  # numbers and text: no objects, no structures, no dates
TORCH_TYPE = re.compile(r"bool|u?int\d+|b?float\d+|complex\d+")


class Unsendable(Exception):
    """A value that can't travel; the text says why."""


def encode(value: Any) -> dict[str, Any] | None:
    """An array, a number of numpy or a tensor as JSON values; None for anything else.

    Raises:
        Unsendable: it is too large, or holds something other than numbers and text.
    """
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None and type(value) in (torch.Tensor, torch.nn.Parameter):
        return _encode_tensor(value)
    if numpy is not None and type(value) is numpy.ndarray:
        return {"$": "array", "npy": _npy(value)}
    if numpy is not None and isinstance(value, numpy.generic):
        return {"$": "scalar", "npy": _npy(numpy.asarray(value))}
    return None


def _encode_tensor(tensor: Any) -> dict[str, Any]:
    name = str(tensor.dtype).removeprefix("torch.")
    if tensor.numel() * tensor.element_size() > MAX_BYTES:
        raise Unsendable(f"a tensor of {tensor.numel():,} numbers")
    try:
        plain = tensor.detach().cpu()
        if name == "bfloat16":
            plain = plain.float()  # numpy has no such type; the widening is exact
        return {"$": "tensor", "dtype": name, "npy": _npy(plain.resolve_conj().resolve_neg().numpy())}
    except (TypeError, RuntimeError):
        raise Unsendable(f"a tensor of type {name} or of a layout that numpy lacks") from None


def _npy(array: Any) -> str:
    import numpy as np

    if array.dtype.kind not in KINDS:
        raise Unsendable(f"an array of {array.dtype}")
    if array.nbytes > 2 * MAX_BYTES:
        raise Unsendable(f"an array of {array.nbytes:,} bytes")
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode()


def decode(encoded: dict[str, Any]) -> Any:
    """The array, number or tensor.

    Raises:
        Exception: of any kind, if `encode` makes no such thing.
    """
    import numpy as np

    data = base64.b64decode(encoded["npy"], validate=True)
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("another version of the format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=2_000)
    if dtype.kind not in KINDS or dtype.itemsize > MAX_BYTES:
        raise ValueError("an array of something other than numbers and text")
    if len(shape) > 16 or any(n < 0 for n in shape) or math.prod(shape) * max(1, dtype.itemsize) > len(data):
        raise ValueError("an array that is larger than its data")  # said before memory is allocated for it
    array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False, max_header_size=2_000)
    if encoded["$"] == "array":
        return array
    if encoded["$"] == "scalar":
        return array[()]
    if not TORCH_TYPE.fullmatch(encoded["dtype"]):  # other attributes of torch may import a lot
        raise ValueError("no such type of number")
    import torch

    return torch.from_numpy(array).to(getattr(torch, encoded["dtype"]))
