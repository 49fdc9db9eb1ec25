"""Compare the normals of a dataset's training, validation and test sets."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.evaluation.shift import measure_shift
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} shift", snakemake.params.code):
    measure_shift(
        Path(snakemake.input.dataset), Path(snakemake.input.split), Path(snakemake.output[0])
    )
