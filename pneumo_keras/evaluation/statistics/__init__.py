"""How sure a score is, with the patient as the unit: intervals, comparison, subgroups, seeds."""

from pneumo_keras.evaluation.statistics.comparison import compare
from pneumo_keras.evaluation.statistics.intervals import (
    Interval,
    mean_interval,
    pooled_interval,
)
from pneumo_keras.evaluation.statistics.seeds import (
    seed_difference,
    seed_table,
    sweep_table,
)
from pneumo_keras.evaluation.statistics.subgroups import subgroup_table
from pneumo_keras.evaluation.statistics.twoway import two_way_table

__all__ = [
    "Interval",
    "compare",
    "mean_interval",
    "pooled_interval",
    "seed_difference",
    "seed_table",
    "subgroup_table",
    "sweep_table",
    "two_way_table",
]
