"""Runs of the whole workflow, as a user starts it, in a folder of their own."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Process = subprocess.Popen[str]

ROOT = Path(__file__).resolve().parents[2]

TINY = """
datasets:
  digits: {reader: digits, normal: [1], anomalies_per_class: 4}
methods:
  dual: {family: dual_autoencoder, table: [encoders, ablation]}
  other_threshold:
    {family: dual_autoencoder, threshold: {rule: quantile}, table: [encoders, ablation]}
  mean_image: {family: mean_image}
  pca: {family: pca, components: 8, repeats: 2}
  pixel_std: {family: pixel_std}
  padim: {family: padim, weights: random, input_size: 32}
sweeps:
  dropout: {method: dual, factor: dropout, values: [0.0, 0.5], overrides: {epochs: 3, attempts: 1}}
batch_search: {method: dual, overrides: {epochs: 3, attempts: 1}}
defaults:
  dual_autoencoder:
    # Wide enough for the number of threads to matter.
    encoder_widths: [256, 64]
    decoder_widths: [128]
    centering: true
    learning_rate: 3.0e-3
    search: {trials: 2, epochs: 1}
    epochs: 100
    early_stopping: false
    attempts: 2
    attempt_rule: all
    mc: {samples: 4}
image_size: 16
evaluation: {bootstrap: 20}
"""


GAPS = """
datasets:
  digits: {reader: digits, normal: [1], anomalies_per_class: 4}
methods:
  pixel_std: {family: pixel_std}
  broken: {family: external, module: broken.py, class_name: Broken}
image_size: 16
evaluation: {bootstrap: 20}
"""


def clean_environment() -> dict[str, str]:
    """The environment without what an outer Snakemake, or a Snakefile read here, has set."""
    outer = ("SNAKEMAKE", "DUALAD_RUN")
    return {name: value for name, value in os.environ.items() if not name.startswith(outer)}


@dataclass(frozen=True)
class Run:
    """What an invocation of Snakemake said."""

    returncode: int
    text: str

    @property
    def jobs(self) -> dict[str, int]:
        """Number of jobs of each rule, from the table before the first job."""
        table = re.search(r"^job +count\n-+ +-+\n(.*?)\ntotal", self.text, re.M | re.S)
        return (
            {}
            if table is None
            else {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table[1], re.M)}
        )


class Workspace:
    """A working directory with a configuration."""

    def __init__(self, folder: Path, config: str = TINY) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tiny.yaml").write_text(config)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def command(self, *arguments: str, configfiles: Sequence[str]) -> list[str]:
        # Options given again in `arguments` win; `--` before targets ends the list of files.
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--directory", str(self.folder), "--workflow-profile", "none"),
            *("--cores", "2", "--resources", "gpu=0", "--nocolor"),
            *("--configfile", *configfiles),
            *arguments,
        ]

    def start(self, *arguments: str, configfiles: Sequence[str] = ("tiny.yaml",)) -> Process:
        """Start Snakemake as the leader of a process group, so that all of it can be killed."""
        return subprocess.Popen(
            self.command(*arguments, configfiles=configfiles),
            cwd=self.folder,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, configfiles: Sequence[str] = ("tiny.yaml",)) -> Run:
        process = self.start(*arguments, configfiles=configfiles)
        text, _ = process.communicate(timeout=1500)
        return Run(process.returncode, text)
