"""Tables across datasets and methods.

CSV holds plain numbers for machines; Markdown, LaTeX and HTML percentages and intervals for people.
"""

from dualad.tables.named import write_named_table
from dualad.tables.performance import PERFORMANCE

__all__ = ["PERFORMANCE", "write_named_table"]
