"""Tables across datasets and methods.

CSV holds plain numbers for machines; Markdown, LaTeX and HTML percentages and intervals for people.
"""

from dualad.tables.ablation import write_table09
from dualad.tables.calibration import write_table10
from dualad.tables.cost import write_costs
from dualad.tables.encoders import write_table08
from dualad.tables.methods import write_table07
from dualad.tables.named import write_named_table
from dualad.tables.performance import PERFORMANCE, write_table06
from dualad.tables.ranking import write_ranks
from dualad.tables.reproducibility import write_reproducibility

__all__ = [
    "PERFORMANCE",
    "write_costs",
    "write_named_table",
    "write_ranks",
    "write_reproducibility",
    "write_table06",
    "write_table07",
    "write_table08",
    "write_table09",
    "write_table10",
]
