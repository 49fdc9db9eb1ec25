"""Draw a figure across datasets."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.products import figure_targets
from dualad.design.targets import Design
from dualad.figures.across import draw_across
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

name = snakemake.params.figure
with job_log(snakemake.log[0], name, snakemake.params.code):
    design = Design.from_config(snakemake.config)
    draw_across(
        name,
        Path(snakemake.output[0]).parent,
        figure_targets(design)[name].results,
        snakemake.params.sweep,
        design.families,
    )
