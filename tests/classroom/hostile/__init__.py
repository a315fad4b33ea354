"""Hostile and broken submissions: what each does, the points it deserves, and the cause in the result.

    corpus.py       what an attacker is; the TOML files hold those that are a piece of code
    packing.py      what a folder or an archive can hold, and files of odd shape
    the_class.py    grades them as a class would be, with canaries around: a process of its own

Submissions are made when they are needed: none lies in the tree. Run by test_hostile.py, or by hand:

    python -m tests.classroom.hostile.the_class sandlock [NAME ...]
"""
