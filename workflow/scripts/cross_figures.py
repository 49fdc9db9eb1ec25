"""Draw the figures across datasets."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.figures import MethodFiles, draw_cross_figures
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], "figures"):
    figures = Path(snakemake.output[0]).parent
    results = figures.parent
    draw_cross_figures(
        figures,
        {
            dataset: [
                MethodFiles.from_folder(results / dataset / name, family=family)
                for name, family in families.items()
            ]
            for dataset, families in snakemake.params.families.items()
        },
        performance_of=snakemake.params.performance_of,
    )
