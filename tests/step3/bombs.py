"""Small files that cost their parser hours or gigabytes, one for each format."""

import io
import zipfile

import docx
import pypdf
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def aliases():
    """Billion laughs in front matter: nine to the tenth words, in 511 bytes."""
    lists = ["a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]"]
    for level in range(1, 10):
        nine = ",".join([f"*a{level - 1}"] * 9)
        lists.append(f"a{level}: &a{level} [{nine}]")
    return "\n".join(["---", *lists, "superseded: *a9", "---", "Text."]).encode()


def nested_page():
    return b"<p>x" + b"<div>" * 100_000 + b"deep"


def long_field():
    return b'name,text\n1,"' + b"x" * 20_000_000


def wide_table():
    """Every one of 20,000 rows gets 160,000 columns."""
    return ("a,b,c,d,e,f,g,h," * 20_000 + "\n" + "1\n" * 20_000).encode()


def document(body):
    """A Word file with this XML as its body."""
    file, made = io.BytesIO(), io.BytesIO()
    docx.Document().save(file)
    text = f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part, text if part.filename == "word/document.xml" else old.read(part))
    return made.getvalue()


def zip_bomb():
    return document(" " * 200_000_000)


def paragraphs():
    """Eight million paragraphs: 48 MB of XML, which may be unpacked, and gigabytes as a tree."""
    return document("<w:p/>" * 8_000_000)


def same_page(pages=1_000):
    """A PDF whose pages all show the same stream of a megabyte, compressed to a few kilobytes."""
    writer, file, stream = pypdf.PdfWriter(), io.BytesIO(), DecodedStreamObject()
    stream.set_data(b"BT /F1 9 Tf (x) Tj ET " * 50_000)
    shared = writer._add_object(stream.flate_encode())
    names = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = DictionaryObject({NameObject(key): NameObject(value) for key, value in names.items()})
    fonts = DictionaryObject({NameObject("/F1"): font})
    resources = DictionaryObject({NameObject("/Font"): fonts})
    for _ in range(pages):
        page = writer.add_blank_page(300, 200)
        page[NameObject("/Contents")] = shared
        page[NameObject("/Resources")] = resources
    writer.write(file)
    return file.getvalue()


BOMBS = {
    "aliases.md": (aliases, "'a1' in its front matter is an alias (*): use strings, numbers, dates or lists"),
    "nested.html": (nested_page, "its tags are nested too deeply"),
    "field.csv": (long_field, "field larger than field limit"),
    "wide.csv": (wide_table, "reading it takes more than"),
    "zip.docx": (zip_bomb, "200.8 MB, 50 MB at most: split it"),
    "paragraphs.docx": (paragraphs, "8.0 million XML elements, 4 million at most: split it"),
    "same-page.pdf": (same_page, "reading it takes more than"),
}
