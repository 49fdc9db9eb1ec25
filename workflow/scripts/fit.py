"""Fit a method: all attempts of a network, or a control."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.jobs import ExperimentFiles, Job, run_fit
from dualad.progress import job_log
from dualad.runtime import Runtime

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

methods = Design.from_config(snakemake.config).methods
name = snakemake.wildcards.method
with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} {name} {snakemake.rule}"):
    files = ExperimentFiles.from_inputs(snakemake.input)
    threads = snakemake.params.get("threads", 1)
    runtime = Runtime.of_job(threads, snakemake.threads, snakemake.resources)
    job = Job(files, Path(snakemake.output[0]).parent, Path(snakemake.params.work), runtime)
    run_fit(methods[name], job)
