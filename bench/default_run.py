"""How much of the default run is not training, search or scoring; how long a dry run takes.

    python bench/default_run.py [--configfile config/config.yaml] [--cores 4]

Runs the workflow in a temporary folder. Jobs that search, train or score with a network run one at
a time (`gpu=1`), so the sum of their durations, start of Python and TensorFlow included, is wall
time; the rest of the run's wall time, with none of them running, is overhead. Then a second run,
which has nothing to do, and dry runs of the default configuration and of the paper's.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

OTHER = "other rules"

ROOT = Path(__file__).resolve().parent.parent


def snakemake(folder: Path, *arguments: str) -> float:
    """Run Snakemake on the project in `folder`; wall seconds."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--workflow-profile", "none", *arguments]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - started


def kind_of(benchmark: Path) -> str:
    """What a job with a network does; `OTHER` for all other jobs."""
    stage = benchmark.stem
    if benchmark.parent.name == "sweeps":
        return "sweeps"
    if stage == "batch_search":
        return stage
    # A control, which has no network, is fitted and scored by rules of the same names.
    if stage == "fit" and not (benchmark.parent / "score.tsv").exists():
        return "baselines"
    if stage in ("search", "train") or (
        stage == "score" and not (benchmark.parent / "fit.tsv").exists()
    ):
        return stage
    return OTHER


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
            kind = kind_of(path)
            seconds[kind] = seconds.get(kind, 0.0) + float(pd.read_csv(path, sep="\t")["s"].sum())
        working = sum(spent for kind, spent in seconds.items() if kind != OTHER)
        print(f"default run: {total:.0f} s; not with a network {100 * (1 - working / total):.0f} %")
        for kind, spent in sorted(seconds.items(), key=lambda item: -item[1]):
            print(f"  {kind:15s} {spent:7.1f} s")
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
