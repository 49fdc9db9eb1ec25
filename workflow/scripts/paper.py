"""Set our numbers beside the paper's, and audit the paper's own."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.figures.comparison import draw_comparison
from dualad.paper.audit import write_audit
from dualad.paper.comparison import write_comparison
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], "paper"):
    design = Design.from_config(snakemake.config)
    runs = {"metrics_json": design.metrics_files(), "paper_names": design.paper_names}
    write_comparison(Path(snakemake.output.comparison).with_suffix(""), **runs)
    draw_comparison(Path(snakemake.output.picture).parent, **runs)
    write_audit(Path(snakemake.output.audit).with_suffix(""), snakemake.output.matrices)
