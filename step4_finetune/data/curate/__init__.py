"""Curation: what is wrong with a set of rows, each thing with a number, the rows, and what to do about it.

    >>> rows = read_rows(SAMPLE)
    >>> report(rows, run_checks(rows))["headline"]
    'no errors, 2 warnings in 886 rows'

One file per idea: schema (form, tokens), duplicates (copies and leaks), labels (the guide), style (length,
templates), personal (data of persons); checks puts them together.
"""

from step4_finetune.data.curate.checks import report, run_checks, show

__all__ = ["report", "run_checks", "show"]
