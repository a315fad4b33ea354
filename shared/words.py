"""Numbers in messages."""


def count(n: int, noun: str) -> str:
    """The number and its noun, in the plural unless it is 1.

    >>> count(1, "turn"), count(1204, "turn")
    ('1 turn', '1,204 turns')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
