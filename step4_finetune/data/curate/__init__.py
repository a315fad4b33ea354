"""Curation: what is wrong with a set of rows, each thing with a number, the rows, and what to do about it.

    >>> facts = report(read_rows(SAMPLE), read_guide(GUIDE))
    >>> facts["headline"]
    'no errors, no warnings in 506 rows'

One file per idea: doubles (copies and leaks), balance (form, classes), labels (the guide), style (length,
templates), tokens, personal (data of persons); report puts them together, fix takes the bad rows out.
"""

from step4_finetune.data.curate.checks import report, run_checks, show

__all__ = ["report", "run_checks", "show"]
