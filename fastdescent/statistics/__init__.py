"""Estimates and their uncertainty, from results in memory.

`wilson_interval` for a rate, `hitting_summary` for one result, `summary` and `format_table`
for the table that compares rules.
"""

from fastdescent.statistics.intervals import wilson_interval
from fastdescent.statistics.summary import (
    Row,
    format_table,
    hitting_quantiles,
    hitting_summary,
    summary,
    to_csv,
)

__all__ = [
    "Row",
    "format_table",
    "hitting_quantiles",
    "hitting_summary",
    "summary",
    "to_csv",
    "wilson_interval",
]
