"""Estimates and their uncertainty, from results in memory.

`wilson_interval` for a rate, `mean_share_interval` for a mean of shares, `pooled_interval` for a
ratio of sums, `hitting_summary` for one result, `summary` and `format_table` for the table that
compares rules;
`box_counting_dimension` for the edge between regions of an image.
"""

from fastdescent.statistics.box_counting import BoxCounting, box_counting_dimension, edge
from fastdescent.statistics.intervals import (
    mean_share_interval,
    pooled_interval,
    wilson_interval,
)
from fastdescent.statistics.summary import (
    Row,
    aligned,
    format_table,
    hitting_quantiles,
    hitting_summary,
    summary,
    to_csv,
)

__all__ = [
    "BoxCounting",
    "Row",
    "aligned",
    "box_counting_dimension",
    "edge",
    "format_table",
    "hitting_quantiles",
    "hitting_summary",
    "mean_share_interval",
    "pooled_interval",
    "summary",
    "to_csv",
    "wilson_interval",
]
