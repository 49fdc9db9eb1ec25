"""Write Snakemake's report of the finished outputs."""

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from dualad.design.record import write_record
from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

# The outer invocation holds the lock, and its profile says nothing about reports.
SETTINGS = ["--nolock", "--profile", "none", "--workflow-profile", "none"]

with job_log(snakemake.log[0], "report", snakemake.params.code):
    configfiles, overrides = snakemake.params.configfiles, snakemake.params.overrides
    subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", snakemake.params.target, *SETTINGS),
            *("--snakefile", snakemake.params.snakefile),
            *(["--configfile", *configfiles] if configfiles else []),
            *(["--config", *overrides] if overrides else []),
            *("--report", snakemake.output[0], "--report-stylesheet", snakemake.params.stylesheet),
        ],
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE")},
    )
    write_record(snakemake.output.record, snakemake.config)
