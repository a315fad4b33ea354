"""The text of files of every format, and the errors for those that can't be read."""

import codecs
import csv
import io
import os
import time
import zipfile
from pathlib import Path

import docx
import pypdf
import pytest
from pypdf.generic import ContentStream, DecodedStreamObject, DictionaryObject, NameObject

from step3_rag.ingest import load
from step3_rag.ingest.text import UnreadableError


def text_of(name, contents):
    """The whole text that is read from a file with that name and contents."""
    path = Path(name)
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return load.read(path).text


def reason(name, contents):
    """Why it can't be read: one line. A number stands for a file of so many bytes."""
    path = Path(name)
    if isinstance(contents, int):
        path.touch()
        os.truncate(path, contents)
    elif contents is not None:
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    with pytest.raises(UnreadableError) as refused:
        load.read(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def pdf(*pages):
    """A small PDF with a line of text on each page; a page of None has only a picture."""
    writer, file = pypdf.PdfWriter(), io.BytesIO()
    names = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = DictionaryObject({NameObject(key): NameObject(value) for key, value in names.items()})
    fonts = DictionaryObject({NameObject("/F1"): font})
    for text in pages:
        page, drawn = writer.add_blank_page(300, 200), DecodedStreamObject()
        drawn.set_data(f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode() if text else b"0 0 50 50 re f")
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        page.replace_contents(ContentStream(drawn, writer))
    writer.write(file)
    return file.getvalue()


def locked(contents, password):
    writer, file = pypdf.PdfWriter(clone_from=io.BytesIO(contents)), io.BytesIO()
    writer.encrypt(password, "owner", algorithm="AES-256")
    writer.write(file)
    return file.getvalue()


# --- text -------------------------------------------------------------------------------------------------

LINE = "Größe 5 µm, naïve café – “quoted”, 30 €"


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        (LINE.encode(), LINE),
        (codecs.BOM_UTF8 + LINE.encode(), LINE),
        (LINE.encode("utf-16"), LINE),
        (b"one\r\ntwo\r\n\r\nthree\rfour", "one\ntwo\n\nthree\nfour"),
    ],
)
def test_encodings(contents, text):
    assert text_of("a.txt", contents) == text


def zipped(**parts):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in parts.items():
            archive.writestr(name, contents)
    return file.getvalue()


BINARY, EMPTY = b"\x7fELF\x00\x01" * 100, codecs.BOM_UTF8 + b" \n\t\n"


@pytest.mark.parametrize(
    ("name", "contents", "why"),
    [
        *((name, BINARY, "binary, not text") for name in ("a.md", "a.html", "a.csv")),
        *((name, EMPTY, "no text in it") for name in ("a.txt", "a.html", "a.csv")),
        *((name, LINE.encode("cp1252"), "not UTF-8: save it as UTF-8") for name in ("a.txt", "a.csv")),
        ("nowhere.txt", None, "No such file or directory"),
        ("a.png", b"x", ".png: not one of .md .markdown .txt"),
        ("t.csv", b'a,b\n1,"' + b"x" * 1_000_010, "field larger than"),
        *((name, 100_040_000, "100.0 MB, 100 MB at most: split it") for name in ("a.txt", "a.csv")),
        ("a.html", 10_100_000, "10.1 MB, 10 MB at most: split it"),
        ("a.pdf", pdf(None, None), "no text in it (a scan? it needs OCR)"),
        ("a.docx", b"just text", "not a Word document (BadZipFile)"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1", "encrypted, or an old .doc"),
        ("a.docx", zipped(**{"word/document.xml": " " * 6_000_000}), "6.0 MB, 5 MB at most"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 100 else "",
)
def test_files_that_cannot_be_read_say_why(name, contents, why, monkeypatch):
    monkeypatch.setattr(load, "LARGEST_DOCX", 5_000_000)
    assert reason(name, contents).startswith(why)


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("a.md", "\n# Supply agreement ##\n\ntext", "Supply agreement"),
        ("a b\nc.txt", "", "a b c"),
    ],
)
def test_titles(name, text, title):
    assert load.title_of(Path(name), text) == title


# --- CSV --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mark"), [("sales.csv", ";"), ("sales.csv", "|"), ("sales.tsv", "\t")])
def test_rows_carry_the_names_of_their_columns(name, mark):
    rows = [["item", "price", "note"], ["bolt", "0,40", 'the "best" one'], ["nut", "0,10", "two\nlines"]]
    file = io.StringIO()
    csv.writer(file, delimiter=mark).writerows(rows)
    assert text_of(name, file.getvalue()) == (
        '# sales\n\n- item: bolt, price: 0,40, note: the "best" one\n'
        "- item: nut, price: 0,10, note: two lines"
    )


@pytest.mark.parametrize(
    ("contents", "lines"),
    [
        ("title\nIt is, well, a test\nAnother\n", ["- title: It is, well, a test", "- title: Another"]),
        ("a,b\n1\n1,2,3\n,\n,2\n", ["- a: 1", "- a: 1, b: 2, 3", "- b: 2"]),
    ],
)
def test_odd_tables(contents, lines):
    assert text_of("t.csv", contents) == "# t\n\n" + "\n".join(lines)


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("| a | b |\n|---|:-:|\n| 1 | 2 |\n", "- a: 1, b: 2\n"),
        ("a | b\n--|--\n1 | 2\nafter it", "- a: 1, b: 2\nafter it"),
        ("| a | b |\n| - | - |\n| x \\| y | 2 | 3 |", "- a: x | y, b: 2, 3"),
        ("| no | rule |\n| 1 | 2 |", "| no | rule |\n| 1 | 2 |"),
        ("```\n| a | b |\n|---|---|\n```\n|a|\n|-|\n|1|", "```\n| a | b |\n|---|---|\n```\n- a: 1"),
    ],
)
def test_tables_in_markdown_become_rows_and_code_stays_code(table, rows):
    assert text_of("a.md", table) == rows
    assert text_of("a.txt", table) == table


@pytest.mark.parametrize("rule", [" " * 200_000 + "|x", "-|" * 100_000 + "x"])
def test_a_very_long_table_rule_takes_linear_time(rule):
    began = time.process_time()
    text_of("a.md", "a|b\n" + rule)
    assert time.process_time() - began < 2


# --- PDF --------------------------------------------------------------------------------------------------


def test_a_text_goes_on_over_the_pages_of_a_pdf():
    Path("a.pdf").write_bytes(pdf("First page. Notice is", None, "60 days. Third page."))
    document = load.read(Path("a.pdf"))
    assert document.text == "First page. Notice is\n\n60 days. Third page."
    places = map(document.text.index, ("First", "Notice", "60", "Third"))
    assert [document.page_at(place) for place in places] == [1, 1, 3, 3]


def test_encrypted_pdfs():
    pytest.importorskip("cryptography")
    assert reason("a.pdf", locked(pdf("Secret."), "word")) == "encrypted: it needs a password"
    assert text_of("b.pdf", locked(pdf("May be read."), "")) == "May be read."


@pytest.mark.parametrize(
    "contents",
    [b"", b"%PDF-1.7\n" + bytes(range(256)) * 40, pdf("x" * 900)[:600]],
    ids=["nothing", "noise", "half"],
)
def test_damaged_pdfs_give_one_line(contents, capfd):
    assert reason("a.pdf", contents).startswith("damaged PDF")
    assert capfd.readouterr() == ("", "")


def test_a_word_document(tmp_path):
    document = docx.Document()
    document.add_heading("Supply agreement", 0)
    document.add_heading("Renewal", 2)
    document.add_paragraph("It ").add_run("re").bold = True
    document.paragraphs[-1].add_run("news every year.")
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ["item", "price", "bolt", "0.40"], strict=True):
        cell.text = text
    document.add_table(1, 2).rows[0].cells[1].text = "a lone row"
    document.add_paragraph("The end.")
    document.save("a.docx")
    assert load.read(Path("a.docx")).text == (
        "# Supply agreement\n\n## Renewal\n\nIt renews every year."
        "\n\n- item: bolt, price: 0.40\n\n- a lone row\n\nThe end."
    )


# --- HTML -------------------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html><html><head><title>Fees | Shop</title><style>p {}</style></head><body>
<header><p>Shop</p></header><nav><a href="/">Home</a></nav>
<main><h1>Fees</h1><p>The <b>fee</b>s of 2<sup>nd</sup>
   class&nbsp;rise.</p><script>track()</script><!-- hidden -->
<ul><li>one</li><li>two <i>and</i> a half</li></ul>
<table><caption>Prices</caption><tr><th>item</th><th>price</th></tr>
<tr><td>bo<b>lt</b></td><td>0.40<br>net</td></tr></table>
<h2>C<em>od</em>e</h2><pre># comment
  indented</pre></main>
<aside>Buy!</aside><footer>Imprint</footer></body></html>"""


def test_the_main_text_of_a_page():
    assert text_of("a.html", PAGE) == (
        "# Fees\n\nThe fees of 2nd class rise.\n\n- one\n- two and a half"
        "\n\nPrices\n\n- item: bolt, price: 0.40 net\n\n## Code\n\n```\n# comment\n  indented\n```"
    )


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("text<p>one</p>two<div>three</div>four", "text\n\none\n\ntwo\n\nthree\n\nfour"),
        ("<article><header><h1>Kept</h1></header>x</article>", "# Kept\n\nx"),
        ("<table><tr><td>only row</td><td>x</td></tr></table>", "only row\n\nx"),
        (
            "<table><tr><td><table><tr><th>a<th>b<tr><td>1<td>2</table></td></tr><tr><td>x</table>",
            "- a: 1, b: 2\n\nx",
        ),
        (
            "<table><tr><th>Phone</th><td>12</td></tr><tr><th>Mail</th><td>x@y</td></tr></table>",
            "- Phone, 12\n- Mail, x@y",
        ),
        ("<p>line\n# 5 is not a heading\n- and this no item", "line # 5 is not a heading - and this no item"),
        ("<p>&lt;b&gt; &amp; &#xD800;&eacute;", "<b> & \N{REPLACEMENT CHARACTER}é"),
    ],
)
def test_pages(html, text):
    assert text_of("a.html", html) == text


def test_a_page_may_name_its_encoding():
    page = "<meta charset='iso-8859-2'><p>Žluťoučký kůň"
    assert text_of("a.html", page.encode("iso-8859-2")) == "Žluťoučký kůň"


@pytest.mark.parametrize("tag", ["b", "table"])
def test_deeply_nested_pages_are_refused(tag):
    page = f"<p>before</p>{f'<{tag}>' * 2_000}deep{f'</{tag}>' * 2_000}<p>after</p>"
    assert reason("a.html", page) == "its tags are nested too deeply"
