"""Write Snakemake's report of the finished outputs."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from dualad.progress import job_log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

# The outer invocation holds the lock, and its profile says nothing about reports.
COMMAND = [sys.executable, "-m", "snakemake", "outputs", "--nolock"]
NO_PROFILE = ["--profile", "none", "--workflow-profile", "none"]

with job_log(snakemake.log[0], "report"), tempfile.TemporaryDirectory() as folder:
    configfile = Path(folder) / "config.yaml"
    configfile.write_text(
        yaml.safe_dump(snakemake.params.config, sort_keys=False), encoding="utf-8"
    )
    subprocess.run(
        [
            *COMMAND,
            *NO_PROFILE,
            *("--snakefile", snakemake.params.snakefile),
            *("--configfile", str(configfile)),
            *("--report", snakemake.output[0]),
        ],
        check=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")},
    )
