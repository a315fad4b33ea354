"""Values between the grader and a worker: they arrive with exactly their types, or are refused."""

import base64
import collections
import dataclasses
import enum
import functools
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from classroom.grading.compare import difference
from classroom.protocol.wire import Record, Reference, Unsendable, decode, encode, from_line, neutral, to_line


@dataclasses.dataclass
class Point:
    x: float
    tags: list


Pair = collections.namedtuple("Pair", "left right")
Colour = enum.Enum("Colour", "RED")


class Liar(float):
    """Equals everything."""

    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


KEYS = st.none() | st.booleans() | st.integers(-(2**4095), 2**4095) | st.floats(allow_nan=False)
KEYS |= st.text(st.characters()) | st.binary()  # also halves of characters
VALUES = st.recursive(
    KEYS | st.sets(KEYS) | st.frozensets(KEYS),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=10,
)


@given(VALUES)
def test_plain_values_arrive_as_they_were(value):
    line = to_line({"value": encode(value)})
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert difference(decode(from_line(line)["value"]), value, rel=0, abs=0) is None


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float16).reshape(2, 3).T,
        np.zeros((0, 4)),
        np.array(3, np.int8),
        np.array(["ab", "c"]),
        np.array([True, False]),
        np.float64(1.5),
        np.int32(-7),
        *(torch.tensor([[0.0, 1.0, 3.0]]).to(each) for each in (torch.bfloat16, torch.float32, torch.int64)),
        *(torch.tensor([[0.0, 1.0, 3.0]]).to(each) for each in (torch.bool, torch.complex64)),
    ],
)
def test_arrays_their_numbers_and_tensors_arrive_with_their_types(array):
    got = decode(encode(array))
    assert (type(got), got.dtype, got.shape) == (type(array), array.dtype, array.shape)
    assert (got == array).all()


def test_parameters_arrive_as_tensors_and_dicts_of_collections_as_dicts():
    assert decode(encode(torch.nn.Parameter(torch.ones(2)))).requires_grad is False
    assert decode(encode(collections.defaultdict(float, a=1.0))) == {"a": 1.0}
    assert type(decode(encode(collections.Counter("aab")))) is dict


def test_own_types_become_records_and_no_method_of_theirs_arrives():
    assert decode(encode(Point(1.0, [Pair(1, "a")]))) == Record(
        f"{__name__}:Point", {"x": 1.0, "tags": [Record(f"{__name__}:Pair", {"left": 1, "right": "a"})]}
    )
    assert decode(encode(Colour.RED)) == Record(f"{__name__}:Colour", {"name": "RED"})
    kept = []
    got = decode(encode(Liar(3.0), keep=lambda value: kept.append(value) or 7))
    assert got == Reference(7, f"{__name__}:Liar")
    assert got != 3.0


def nested(n):
    return functools.reduce(lambda made, _: [made], range(n), 1)


@pytest.mark.parametrize(
    "value",
    [
        *(object(), Liar(1.0), lambda: 1, type("Text", (str,), {})("a"), np.array([object()]), 2**5000),
        *(nested(900), np.zeros(1 << 20), torch.zeros(1 << 20, dtype=torch.bfloat16)),
    ],
)
def test_what_can_not_travel_or_is_too_large_is_refused(value):
    with pytest.raises(Unsendable):
        encode(value)


def npy(header, data=b""):
    """An array file with this header."""
    text = header.encode() + b"\n"
    file = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data
    return {"$": "array", "npy": base64.b64encode(file).decode()}


def pickled():
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    return {"$": "array", "npy": base64.b64encode(file.getvalue()).decode()}


MODULUS = 2**61 - 1  # of Python's hash of whole numbers
COLLIDING = [i * MODULUS for i in range(6_000)]  # building a dict of 50,000 such keys takes a minute


@pytest.mark.parametrize(
    "encoded",
    [
        {},
        {"$": "name", "v": "os:system"},
        {"$": "callback", "id": 0},
        {"$": "object", "id": math.inf, "type": "a"},
        {"$": ["tuple"], "v": []},
        {"$": "dict", "v": [[[], 1]]},
        {"$": "set", "v": [[1]]},
        {"$": "record", "type": "a:b", "v": []},
        {"$": "set", "v": COLLIDING},
        {"$": "dict", "v": [[key, 0] for key in COLLIDING]},
        {"$": "tensor", "dtype": "_dynamo", "npy": encode(np.ones(2))["npy"]},
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"),
        npy("{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000,), }"),
        npy("{'descr': '<U900000000', 'fortran_order': False, 'shape': (0,), }"),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 5), }", b"\0" * 64),
        npy("__import__('os').getpid()"),
        npy("(" * 1500),
        pickled(),
        nested(200),
        10**2000,
    ],
)
def test_nonsense_is_a_value_error_and_nothing_else(encoded):
    with pytest.raises(ValueError, match="not a value"):
        decode(encoded)


def test_what_is_no_message_is_a_value_error():
    for line in (b"[" * 500_000, b'{"a":' * 100_000, b"\xff\xfe\x00", b"9" * 5000, b"[1]", b""):
        with pytest.raises(ValueError):  # noqa: PT011  (of several kinds)
            from_line(line)


def test_a_large_set_of_other_keys_is_no_attack():
    assert len(decode(encode(set(range(-20_000, 20_000))))) == 40_000


def test_a_record_has_no_magic_methods():
    """numpy and copy look for such names on the object, and would obey them."""
    record = decode(
        {"$": "record", "type": "a:B", "v": {"__array_interface__": 1, "__deepcopy__": 1, "x": 2}}
    )
    assert record.x == 2
    assert not hasattr(record, "__array_interface__")
    assert not hasattr(record, "__deepcopy__")
    assert np.asarray(record).dtype == object
    assert repr(record).startswith("B(")


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (1, 1.0),
        (True, 1),
        (np.float32(1.0), np.float64(1.0)),
        (np.ones(2), [1.0, 1.0]),
        (np.ones(2, np.float32), np.ones(2)),
        (np.ones(2), torch.ones(2)),
        (torch.ones(2, dtype=torch.bfloat16), torch.ones(2)),
        ((1, 2), [1, 2]),
        ({1: "a"}, {1.0: "a"}),
        ({1, 2}, {1.0, 2}),
        (frozenset({1}), {1}),
        ("1", 1),
        (None, False),
        (Record("a:B", {"x": 1}), Record("a:C", {"x": 1})),
        (Record("a:B", {"x": 1}), Record("a:B", {"x": 1, "y": 2})),
        (math.nan, 0.0),
        (1.00001, 1.0),
        (np.array([True, False]), np.array([True, True])),
        (torch.tensor([1 + 1j]), torch.tensor([1 + 2j])),
        (2**200, 2**200 + 1),
    ],
)
def test_what_differs_in_type_or_value_differs(got, expected):
    got, expected = neutral(got), neutral(expected)
    assert difference(got, expected)
    assert difference(got, expected, tell=False)
    assert difference(got, got) is None
    assert difference(expected, expected) is None
    assert difference({"a": [1.0, (math.nan,)]}, {"a": [1.0 + 1e-7, (math.nan,)]}) is None  # nearly


def test_without_telling_nothing_of_what_was_expected_is_said():
    secret = 31337
    for got, expected in [
        (1, secret),
        ([1], [secret]),
        ({"a": 1}, {"a": 1, secret: 2}),
        ({"b": 1}, {secret: 2}),
        (np.array([1, 2]), np.array([1, secret])),
        (np.zeros(3), np.zeros(secret)),
        ([], [0] * secret),
        (Record("a:B", {}), Record(f"a:C{secret}", {})),
    ]:
        assert str(secret) in (difference(got, expected) or "")
        assert str(secret) not in (difference(got, expected, tell=False) or str(secret))


def test_objects_that_stayed_elsewhere_can_not_be_compared():
    with pytest.raises(TypeError, match="objects can't be compared"):
        difference(Reference(1, "a:B"), Reference(1, "a:B"))
