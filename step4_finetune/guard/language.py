"""Whether a text is English, by its small words; None where it holds too few of them to tell.

    >>> is_english("Where is my parcel?"), is_english("Wo bleibt mein Paket?"), is_english("refund 79.50")
    (True, False, None)

The commonest words of a language make up nearly half of any text, and most are its own. A text is not English
when it has more small words of one other language than of English, when it is in another alphabet, or when a
quarter of its words have letters that English lacks and none is a small English one. Words that both have
("die", "me") count as English. A text without small words can't be told, and passes.
"""

from __future__ import annotations

import re
import unicodedata


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


ENGLISH = _words(
    """a about after again all am an and any are as at be been before but by can could did do does
    dont for from had has have hello her hi his how i if im in into is it its just me mine more my no
    not now of on only or our out please should since so some still than thank thanks that the their
    them then there they this to today up us was we were what when where which who why will with would
    yesterday you your die"""
)
OTHERS = {
    "German": """der das und ich nicht ein eine einen mein meine ist zu mit auf den dem von für wie
    bitte kann habe wir sie sich auch es wird wurde sind haben ihr ihre seit noch nach bei aus wenn wo
    können möchte""",
    "French": """le la les des du une est et je vous nous ma mes pas que qui pour dans avec ce cette il
    elle sur votre vos depuis pourquoi quand comment ai merci bonjour être avez puis mais plus au
    aux""",
    "Spanish": """el los las una es y mi por para con que de del se lo como pero muy gracias quiero está
    hola desde cuando porque puede ya hace mis su sus qué más al tengo puedo""",
    "Italian": """il lo gli una è e di che per con non mi della del nel alla sono ho grazie vorrei può
    quando perché più da ieri mia mio questo quanto come le la si""",
    "Dutch": """het een en van ik niet mijn dat met voor wordt naar zijn heb kan waar hoe wat nog ook
    maar uw bij aan meer sinds gisteren graag kunt wij jullie""",
    "Portuguese": """o os um uma é e não meu minha por para com que de da em na está já mais foi muito
    obrigado quero onde quando como porque ainda""",
    "Polish": """nie jest się na z w że mój moja moje proszę od czy jak gdzie dlaczego mnie już dziękuję
    mam dla po""",
    "Swedish": """och det är jag inte en ett som för på med av har min mitt kan ni vi till den när
    varför tack om sedan""",
    "Turkish": """bir ve bu için ile mi mı mu ben benim değil ne çok var yok lütfen nasıl neden daha
    gibi""",
}
SMALL = {  # single letters are initials, or the W of a serial number
    name: frozenset(word for word in words.split() if len(word) > 1 or not word.isascii()) - ENGLISH
    for name, words in OTHERS.items()
}
WORD = re.compile(r"[^\W\d_]+")
FEW = 4  # words: below, letters alone don't tell


def is_english(text: str) -> bool | None:
    """Whether a text is English; None where that can't be told."""
    words = WORD.findall(text.replace("'", "").replace("’", "").lower())
    letters = "".join(words)
    if not letters:
        return None
    if sum(not _is_latin(each) for each in letters) > len(letters) / 2:
        return False
    own = sum(word in ENGLISH for word in words)
    other = max(sum(word in small for word in words) for small in SMALL.values())
    if other > own:
        return False
    if own:
        return True
    foreign = sum(not word.isascii() for word in words)
    return False if len(words) >= FEW and foreign >= len(words) / 4 else None


def _is_latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith("LATIN")
