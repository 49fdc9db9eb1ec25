"""Fit a baseline and score the validation and test images."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.jobs import ExperimentFiles, Job, run_baseline
from dualad.progress import job_log
from dualad.runtime import Runtime

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

methods = Design.from_config(snakemake.config).methods
name = snakemake.wildcards.method
with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} {name} fit"):
    files = ExperimentFiles.from_inputs(snakemake.input)
    threads = snakemake.params.threads
    runtime = Runtime.of_job(threads, snakemake.threads, snakemake.resources)
    job = Job(files, Path(snakemake.output[0]).parent, Path(snakemake.params.work), runtime)
    run_baseline(methods[name], job, snakemake.params.map_size)
