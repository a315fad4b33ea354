"""What texts and names avoid, with what to write in its place: the sections of avoided_words.txt."""

import configparser
from pathlib import Path

_sections = configparser.ConfigParser(delimiters=":", interpolation=None)
_sections.read(Path(__file__).with_suffix(".txt"), encoding="utf-8")

TEXTS = dict(_sections["texts"])
TEXTS_OF_CODE = {**TEXTS, **_sections["texts of code"]}
NAMES = dict(_sections["names"])
