"""Fit a method: all attempts of a network, or a control."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.jobs import Job, run_alone, run_fit
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

method = Design.from_config(snakemake.config).methods[snakemake.wildcards.method]
with job_log(
    snakemake.log[0],
    f"{snakemake.wildcards.dataset} {method.name} {snakemake.rule}",
    snakemake.params.code,
):
    job = Job.of_rule(snakemake, Path(snakemake.output[0]).parent)
    run_alone(job, lambda job: run_fit(method, job))
