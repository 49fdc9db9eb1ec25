"""Draw a dataset's figures."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.figures.dataset import draw_dataset_figures
from dualad.figures.inputs import load_method
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

dataset = snakemake.wildcards.dataset
with job_log(snakemake.log[0], f"{dataset} figures", snakemake.params.code):
    folder = Path(snakemake.input.dataset).parent
    design = Design.from_config(snakemake.config)
    drawn = design.drawn_families(dataset, snakemake.input.methods)
    draw_dataset_figures(
        snakemake.output[0],
        snakemake.input.dataset,
        [load_method(folder / name, family) for name, family in drawn.items()],
        design.families,
    )
