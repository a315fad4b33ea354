"""A corpus of hostile and broken submissions: what each does, the points it deserves, the cause to be named.

    kit.py          what a case is, and how it writes a submission
    the_class.py    grades cases as a class would be, with canaries around: a process of its own
    rubric*.py      a few of step 3's exercises, with tests that take milliseconds

    honest.py       right solutions of odd shape, and honest mistakes
    values.py       results that lie
    replies.py      forged replies, callbacks, and the pipes
    answers.py      looking for the answers
    drivers.py      drivers replaced by others
    endings.py      ends, hangs and what stays behind
    greed.py        memory, processes, disk, output
    outside.py      files, network, keys, other processes
    packing.py      what a folder or an archive can hold
    words.py        text that is to do something to whoever reads it

Submissions are made when they are needed: none lies in the tree. Run by test_hostile.py, or by hand:

    python -m tests.classroom.hostile.the_class --isolation bubblewrap [--real] [NAME ...]
"""
