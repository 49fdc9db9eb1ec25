"""Draw a dataset's figures."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.figures.dataset import draw_dataset_figures
from dualad.figures.inputs import load_method
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} figures"):
    folder = Path(snakemake.input.dataset).parent
    draw_dataset_figures(
        snakemake.output[0],
        snakemake.input.dataset,
        [load_method(folder / name, family) for name, family in snakemake.params.families.items()],
    )
