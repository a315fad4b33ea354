"""Curation: checks that report what is wrong with a set of rows, with a number, the rows, and advice.

    >>> run(read_rows(SAMPLE))["headline"]
    '0 errors, 2 warnings in 886 rows'

schema: form, length, personal data. duplicates: copies and leakage. labels: guide and notes. style: length
bias and templates.
"""
