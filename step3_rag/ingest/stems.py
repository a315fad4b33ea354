"""Words cut to their stems, without stop words: what keyword search looks for.

    >>> stems("The contracts were renewed in 2025.")
    ['contract', 'renew', '2025']

`renewed` should find `renewal`. The stemmer is Snowball's for English.
"""

import re

import Stemmer

WORD = re.compile(r"\w+(?:[.\-]\d+)*")
STOP_WORDS = """
a an and are as at be been but by can could did do does for from had has have he her his how i if in into is
it its may me my no not of on or our she should so such that the their them then there these they this to us
was we were what when where which who whom whose why will with would you your
"""
_STOP = frozenset(STOP_WORDS.split())
_STEMMER = Stemmer.Stemmer("english", 0)  # without its cache, threads may share it


def stems(text: str) -> list[str]:
    """The stems of a text's words, in order, in lower case, without stop words."""
    return _STEMMER.stemWords([word for word in WORD.findall(text.lower()) if word not in _STOP])
