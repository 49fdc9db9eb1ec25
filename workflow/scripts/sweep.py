"""Fit, score and evaluate a method under one value of a key after another."""

from pathlib import Path
from typing import TYPE_CHECKING

from dualad.design.targets import Design
from dualad.methods.jobs import ExperimentFiles, Job
from dualad.methods.studies import run_sweep
from dualad.progress import job_log
from dualad.runtime import Runtime

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

sweep = Design.from_config(snakemake.config).sweeps[snakemake.params.sweep]
with job_log(snakemake.log[0], f"{snakemake.wildcards.dataset} {snakemake.rule}"):
    files = ExperimentFiles.from_inputs(snakemake.input)
    threads = snakemake.params.threads
    runtime = Runtime.of_job(threads, snakemake.threads, snakemake.resources)
    job = Job(files, Path(snakemake.output[0]), Path(snakemake.params.work), runtime)
    run_sweep(sweep.points, job, snakemake.params.evaluation, snakemake.params.code)
