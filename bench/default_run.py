"""How much of the default run is not training, search or scoring; how long a dry run takes.

    python bench/default_run.py [--configfile config/config.yaml] [--cores 4]

Runs the workflow in a temporary folder. Jobs of the dual autoencoder run one at a time (`gpu=1`),
so the sum of their durations, start of Python and TensorFlow included, is wall time; the rest of
the run's wall time, with none of them running, is overhead. Then a second run, which has nothing to
do, and dry runs of the default configuration and of the paper's.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent


def snakemake(folder: Path, *arguments: str) -> float:
    """Run Snakemake on the project in `folder`; wall seconds."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--workflow-profile", "none", *arguments]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", type=Path, default=ROOT / "config" / "config.yaml")
    parser.add_argument("--cores", default="4")
    options = parser.parse_args()
    run = ["--cores", options.cores, "--resources", "gpu=1"]
    run += ["--configfile", str(options.configfile.resolve())]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        total = snakemake(folder, *run)
        seconds: dict[str, float] = {}
        for path in sorted((folder / "results" / "benchmarks").rglob("*.tsv")):
            # Scoring a control needs no network and runs beside the jobs that do.
            network = (path.parent / "train.tsv").exists()
            rule = "score controls" if path.stem == "score" and not network else path.stem
            seconds[rule] = seconds.get(rule, 0.0) + float(pd.read_csv(path, sep="\t")["s"].sum())
        working = sum(seconds.get(rule, 0.0) for rule in ("search", "train", "score"))
        print(
            f"default run: {total:.0f} s; search, train, score {working:.0f} s; "
            f"rest {100 * (1 - working / total):.0f} %"
        )
        for rule, spent in sorted(seconds.items(), key=lambda item: -item[1]):
            print(f"  {rule:15s} {spent:7.1f} s")
        print(f"second run: {snakemake(folder, *run):.1f} s")
    with tempfile.TemporaryDirectory() as name:
        for configfile in ("config.yaml", "paper.yaml"):
            path = str(ROOT / "config" / configfile)
            spent = snakemake(
                Path(name), "--dry-run", "--quiet", "--cores", "4", "--configfile", path
            )
            print(f"dry run of {configfile}: {spent:.1f} s")


if __name__ == "__main__":
    main()
