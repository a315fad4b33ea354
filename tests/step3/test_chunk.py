"""Nothing is lost, nothing is too long, and borders are where a reader would cut."""

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from step3_rag.ingest.chunk import chunk, headings, sentences
from tests.step3.conftest import word_spans

# Texts with all that makes borders, and with what hypothesis thinks of.
# fmt: off
PARTS = [
    "word", "Word", "8", "e.g.", "Dr. No", ". ", "! ", '?" ', "\n", "\n\n", "# ", "## Deep\n", "- ",
    "1. ", "| a | b |\n", "```\n", "~~~", " ", "\t", "'", '"', ")", "“", "” ", "é", "猫", "🙂",
    "\u200b", "\x0c", "_",
]
# fmt: on
TEXTS = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(PARTS), max_size=200).map("".join),
    st.lists(st.sampled_from(["The fee is due. ", "It rises by 2 % a year. ", "No! "]), max_size=60).map(
        "".join
    ),
)


@st.composite
def sizes(draw):
    size = draw(st.integers(1, 40))
    return size, draw(st.integers(0, size - 1))


def passages(text, **sizes):
    return [text[start:end] for start, end in chunk(text, word_spans, **sizes)]


def with_space_before(text):
    """As tokenizers that count the space before a word as its part."""
    ends = [end for _, end in word_spans(text)]
    return list(zip([0, *ends], ends, strict=False))


@hypothesis_settings(max_examples=25)
@given(TEXTS, sizes(), st.sampled_from([word_spans, with_space_before]))
@example('He said "Go." Then "Stop." ' * 5, (4, 0), word_spans)
@example("x" * 5000, (3, 1), word_spans)
def test_every_token_is_in_a_chunk_none_too_long_none_overlapping_too_much(text, sizes, tokens_of):
    size, overlap = sizes
    spans = chunk(text, tokens_of, size, overlap)
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(place in covered for start, end in word_spans(text) for place in range(start, end))
    for start, end in spans:
        assert 1 <= len(word_spans(text[start:end])) <= size
    for (a, x), (b, y) in pairwise(spans):
        assert a < b
        assert x < y
        assert len(word_spans(text[b:x])) <= overlap


@hypothesis_settings(max_examples=40)
@given(TEXTS)
def test_sentences_are_in_order_and_only_white_space_is_between_them(text):
    places = [0, *(place for span in sentences(text) for place in span), len(text)]
    assert places == sorted(places)
    assert not any(text[end:start].strip() for end, start in zip(places[::2], places[1::2], strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "no end in sight " * 16_000,
        ". " + " " * 250_000 + "b",
        "```\n" * 60_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_no_text_takes_more_than_linear_time(text):
    began = time.process_time()
    chunk(text, word_spans)
    assert time.process_time() - began < 2  # where it is quadratic, minutes


def test_nothing_makes_no_chunk():
    assert passages("") == passages(" \n\n\t ") == []


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (8, 8), (8, -1)])
def test_sizes_that_make_no_chunks(size, overlap):
    with pytest.raises(ValueError, match=f"chunks of {size} tokens cannot overlap by {overlap}"):
        chunk("a b", word_spans, size, overlap)


def test_the_overlap_repeats_whole_sentences():
    text = "One is here. Two is here. Three is here. Four is here."  # four tokens each
    assert passages(text, size=8, overlap=4) == [
        "One is here. Two is here.",
        "Two is here. Three is here.",
        "Three is here. Four is here.",
    ]
    assert passages(text, size=8, overlap=3) == ["One is here. Two is here.", "Three is here. Four is here."]


def test_a_sentence_longer_than_a_chunk_is_cut_between_words_and_overlaps_too():
    text = " ".join(f"well-known{i}" for i in range(30))  # three tokens each, which stay together
    found = passages(text, size=12, overlap=6)
    assert all(part.startswith("well-") and part[-1].isdigit() for part in found)
    assert all(a.split()[-1] in b.split() for a, b in pairwise(found))


def test_a_heading_begins_a_chunk_once_the_last_is_half_full():
    text = "# A\n\none two three four five six.\n\n# B\n\nseven eight.\n\n# C\n\nnine."
    assert passages(text, size=16, overlap=4) == [
        "# A\n\none two three four five six.",
        "# B\n\nseven eight.\n\n# C\n\nnine.",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# A\n## B\n### C\n## D\n# E", ["A", "A > B", "A > B > C", "A > D", "E"]),
        ("# A ##\n# C#\n#   Wide   \n", ["A", "C#", "Wide"]),
        ("#hashtag\n####### seven\n # not at the margin\n#\n# \n", []),
        ("~~~\n# a\n```\n# b\n~~~\n# After\n", ["After"]),
        ("# " + "long " * 100, ["long " * 39 + "long"]),
    ],
)
def test_headings_have_their_path(text, found):
    assert [path for _, path in headings(text)] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It ends. It begins.", ["It ends.", "It begins."]),
        ('He said "Go." Then he (we think.) Left.', ['He said "Go."', "Then he (we think.)", "Left."]),
        (
            "It costs 3.5 euros, e.g. Monday. Dr. No agrees.",
            ["It costs 3.5 euros, e.g. Monday.", "Dr. No agrees."],
        ),
        (
            "Es endet. Übrigens, ca. ärgerlich. «Oui.» ¿Qué?",
            ["Es endet.", "Übrigens, ca. ärgerlich.", "«Oui.»", "¿Qué?"],
        ),
        ("这是第一句。第二句！", ["这是第一句。", "第二句！"]),
        ("Signed by J. Smith and Co. Ltd. Today", ["Signed by J. Smith and Co. Ltd. Today"]),
        ("# A\nText\n- one\n- two\n1. three", ["# A\nText", "- one", "- two", "1. three"]),
        ("one\n\n  two\n \nthree\n", ["one", "two", "three\n"]),
        ("a line\nand its rest", ["a line\nand its rest"]),
    ],
)
def test_sentences(text, found):
    assert [text[start:end] for start, end in sentences(text)] == found
