"""Fetch an archive, check it, unpack it, and leave a record of what was fetched."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.data.download import download_dataset
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job_log(snakemake.log[0], f"{snakemake.wildcards.archive} download", snakemake.params.code):
    download_dataset(
        snakemake.wildcards.archive,
        snakemake.params.entry,
        Path(snakemake.output[0]).parent,
        progress=True,
    )
