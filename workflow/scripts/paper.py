"""Set our numbers beside the paper's, and audit the paper's own."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.figures.comparison import comparison_figure
from dualad.figures.style import save_figure
from dualad.files import write_text
from dualad.paper.audit import audit_table_6
from dualad.paper.comparison import compare
from dualad.progress import job_log
from dualad.tables.audit import audit_table, confusion_matrices_csv
from dualad.tables.comparison import comparison_table
from dualad.tables.formats import write_table

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], "paper", snakemake.params.code):
    design = Design.from_config(snakemake.config)
    comparisons = compare(design.metrics_files(), design.paper_names)
    table = comparison_table(comparisons, snakemake.config["evaluation"]["confidence"])
    write_table(Path(snakemake.output.comparison).with_suffix(""), table)
    picture = Path(snakemake.output.picture)
    save_figure(comparison_figure(comparisons), picture.parent, picture.stem)
    rows = audit_table_6()
    write_table(Path(snakemake.output.audit).with_suffix(""), audit_table(rows))
    write_text(Path(snakemake.output.matrices), confusion_matrices_csv(rows))
